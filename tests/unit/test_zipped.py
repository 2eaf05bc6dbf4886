"""A zip archive that is made while it is sent."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from coordinator.zipped import Member, zipped

CHUNK = 256 * 1024
WRITTEN = datetime(2026, 5, 4, 3, 2, 2, tzinfo=UTC)


def chunks(number: int) -> Iterator[bytes]:
    return (bytes([place % 256]) * CHUNK for place in range(number))


def test_it_is_read_as_it_was_written_and_never_held_whole() -> None:
    members = [Member("model.onnx", WRITTEN, lambda: chunks(20)), Member("empty.log", WRITTEN, lambda: iter([b""])),
               Member("none.log", WRITTEN, lambda: iter([]))]  # fmt: skip
    parts = list(zipped(members))
    assert max(map(len, parts)) < 2 * CHUNK
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["model.onnx", "empty.log", "none.log"]
        assert archive.read("model.onnx") == b"".join(chunks(20))
        assert archive.getinfo("model.onnx").file_size == 20 * CHUNK
        assert archive.getinfo("model.onnx").date_time == (2026, 5, 4, 3, 2, 2)
        assert archive.read("none.log") == b""


def test_a_member_is_fetched_when_its_turn_has_come() -> None:
    begun: list[str] = []

    def fetch(name: str) -> Iterator[bytes]:
        begun.append(name)
        yield b"content"

    archive = zipped([Member(name, WRITTEN, lambda name=name: fetch(name)) for name in "ab"])  # type: ignore[misc]
    next(archive)
    assert begun == ["a"]


def test_what_fails_in_the_middle_is_no_archive() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise OSError

    parts = []
    with pytest.raises(OSError):  # noqa: PT011
        parts += list(zipped([Member("a", WRITTEN, broken)]))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(parts)))
