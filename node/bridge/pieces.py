"""Pieces of a recording on disk: `<piece>.json-seq` is what the build sent, `<piece>.json` its episodes.

While a piece grows, `<piece>.index` says the same line by line, so that a bridge that was killed loses nothing: the
next one finishes the piece from it.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wire.codec import NotAMessage, decode, encode

SUFFIX, INDEX, MANIFEST = ".json-seq", ".index", ".json"
BEGIN, END = b"\x1e", b"\n"  # RFC 7464


class Piece:
    """A piece that is being written. All methods raise OSError when the disk does not take it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / (name + SUFFIX)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._content = os.open(self.path, flags, 0o600)
        self._index = os.open(self.path.with_suffix(INDEX), flags, 0o600)
        self.size = self.messages = self.episodes = 0

    def begin(self, number: int, instance: int) -> None:
        """What follows is an episode, until `end` or the next one."""
        self.episodes += 1
        self._note({"number": number, "instance": instance, "began_at": datetime.now(UTC).isoformat()})

    def add(self, content: bytes, milliseconds: int) -> None:
        """A message, so long after the begin of its episode."""
        record = BEGIN + content + END
        _write(self._content, record)
        self._note({"size": len(record), "at": milliseconds})
        self.size += len(record)
        self.messages += 1

    def end(self) -> None:
        """The episode is complete."""
        self._note({"is_complete": True})

    def close(self) -> None:
        """No more will be written; `finish` makes it a finished piece."""
        os.close(self._content)
        os.close(self._index)

    def _note(self, line: dict[str, Any]) -> None:
        _write(self._index, encode(line).encode() + b"\n")


def finish(piece: Path) -> list[dict[str, Any]]:
    """Says which episodes are in a piece that is complete, from its index. One without any is removed."""
    index, draft = piece.with_suffix(INDEX), piece.with_suffix(".part")
    found = episodes(index.read_bytes())
    if found:
        draft.write_text(encode({"episodes": found}), encoding="utf-8")
        draft.replace(piece.with_suffix(MANIFEST))
    else:
        piece.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    return found


def unfinished(folder: Path) -> list[Path]:
    """Pieces that a bridge has left in the middle."""
    return [index.with_suffix(SUFFIX) for index in sorted(folder.glob(f"*{INDEX}"))]


def episodes(index: bytes) -> list[dict[str, Any]]:
    """The episodes by an index, each with the bytes of the piece that it takes."""
    found: list[dict[str, Any]] = []
    offset = 0
    for line in _lines(index):
        if "number" in line:
            found.append({**line, "start": offset, "size": 0, "times_ms": [], "is_complete": False})
        elif "is_complete" in line:
            found[-1] |= line
        else:
            found[-1]["size"] += line["size"]
            found[-1]["times_ms"].append(line["at"])
            offset += line["size"]
    return [episode for episode in found if episode["size"]]


def _lines(index: bytes) -> Iterator[dict[str, Any]]:
    for line in index.splitlines():
        try:
            yield decode(line)
        except NotAMessage:
            return  # half a line: its writer was killed


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
