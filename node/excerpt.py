"""Logs of a bounded size: their beginning and their end, and a line between that says how much is left out."""

from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 5_000_000
HEAD_BYTES = 1_000_000
NOTE = "\n---- {} bytes of this log are left out here ----\n"
NOTE_BYTES = 100


def bounded(path: Path, most: int = MAX_BYTES, head: int = HEAD_BYTES) -> Path:
    """The file itself, or an excerpt of it of at most `most` bytes, in a file beside it."""
    if path.stat().st_size <= most:
        return path
    short = path.with_name(path.name + ".excerpt")
    with path.open("rb") as whole, short.open("wb") as out:
        _write(whole, out, path.stat().st_size, most, head)
    return short


def _write(whole: BinaryIO, out: BinaryIO, size: int, most: int, head: int) -> None:
    begin, tail = whole.read(head), most - head - NOTE_BYTES
    begin = begin[: begin.rfind(b"\n") + 1] or begin
    whole.seek(size - tail)
    whole.readline(tail // 2)  # to the next whole line
    out.write(begin + NOTE.format(whole.tell() - len(begin)).encode())
    out.write(whole.read(tail))
