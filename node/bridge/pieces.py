"""Pieces of a recording on disk: `<piece>.json-seq` is what the build sent, `<piece>.json` its episodes.

While a piece grows, `<piece>.index` says the same line by line, so that a bridge that was killed loses nothing: the
next one finishes the piece from it.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wire.codec import encode

SUFFIX, INDEX, MANIFEST = ".json-seq", ".index", ".json"
BEGIN, END = b"\x1e", b"\n"  # RFC 7464


class Contents:
    """The episodes of a piece, each with the bytes of it that it takes, as the manifest lists them."""

    def __init__(self) -> None:
        self._episodes: list[dict[str, Any]] = []
        self.size = self.messages = 0

    def begin(self, number: str, instance: str, began_at: str) -> None:
        """An episode, until `end` or the next one."""
        self._episodes.append({
            "number": int(number), "instance": int(instance), "start": self.size, "size": 0, "times_ms": [],
            "began_at": began_at, "is_complete": False,
        })  # fmt: skip

    def add(self, size: str, milliseconds: str) -> None:
        """A message of so many bytes, so long after the begin of its episode."""
        self._episodes[-1]["size"] += int(size)
        self._episodes[-1]["times_ms"].append(int(milliseconds))
        self.size += int(size)
        self.messages += 1

    def end(self) -> None:
        """The episode is complete."""
        self._episodes[-1]["is_complete"] = True

    def episodes(self) -> list[dict[str, Any]]:
        """Those in which something was said."""
        return [episode for episode in self._episodes if episode["size"]]

    def __len__(self) -> int:
        return len(self._episodes)


class Piece:
    """A piece that is being written. All methods raise OSError when the disk does not take it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / (name + SUFFIX)
        self.contents = Contents()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._content = os.open(self.path, flags, 0o600)
        self._index = os.open(self.path.with_suffix(INDEX), flags, 0o600)

    def begin(self, number: int, instance: int) -> None:
        """What follows is an episode."""
        self._note("begin", str(number), str(instance), datetime.now(UTC).isoformat())

    def add(self, content: bytes, milliseconds: int) -> None:
        """A message."""
        record = BEGIN + content + END
        _write(self._content, record)
        self._note("add", str(len(record)), str(milliseconds))

    def end(self) -> None:
        """The episode is complete."""
        self._note("end")

    def finish(self) -> None:
        """No more will be written."""
        os.close(self._content)
        os.close(self._index)
        _finish(self.path, self.contents)

    def _note(self, word: str, *values: str) -> None:
        _write(self._index, " ".join([word, *values]).encode() + b"\n")
        getattr(self.contents, word)(*values)


def finish_left(folder: Path) -> list[dict[str, Any]]:
    """Finishes the pieces that a bridge has left in the middle; the episodes in them."""
    found: list[dict[str, Any]] = []
    for index in sorted(folder.glob(f"*{INDEX}")):
        contents = read_index(index.read_text(encoding="ascii", errors="replace"))
        _finish(index.with_suffix(SUFFIX), contents)
        found += contents.episodes()
    return found


def read_index(text: str) -> Contents:
    """What a piece holds by its index, whose last line may be half a one: its writer was killed."""
    contents = Contents()
    for line in text.split("\n")[:-1]:
        word, *values = line.split(" ")
        getattr(contents, word)(*values)
    return contents


def _finish(piece: Path, contents: Contents) -> None:
    """Writes the manifest. A piece without any episode is removed."""
    draft = piece.with_suffix(".part")
    if episodes := contents.episodes():
        draft.write_text(encode({"episodes": episodes}), encoding="utf-8")
        draft.replace(piece.with_suffix(MANIFEST))
    else:
        piece.unlink(missing_ok=True)
    piece.with_suffix(INDEX).unlink(missing_ok=True)


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
