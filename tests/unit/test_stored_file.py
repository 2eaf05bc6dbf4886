"""A stored object is read like a file, over connections that may break."""

from __future__ import annotations

import io
import random
from typing import Any, cast

import pytest

from coordinator.errors import Unavailable
from coordinator.storage import Storage
from coordinator.stored_file import NEAR, StoredFile

CONTENT = random.Random(1).randbytes(3 * NEAR)  # noqa: S311


class Played:
    """Storage whose connections break after so many bytes."""

    def __init__(self, breaks_after: int = len(CONTENT)) -> None:
        self.opened, self._breaks_after = 0, breaks_after

    def body(self, key: str, start: int) -> Any:
        self.opened += 1
        played = self

        class Body(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() >= played._breaks_after:
                    raise OSError("broken")
                return super().read(min(size or 0, played._breaks_after - self.tell()))

        return Body(CONTENT[start:])


def stored(storage: Played) -> io.BufferedReader:
    return io.BufferedReader(StoredFile(cast(Storage, storage), "key", len(CONTENT)), 64 * 1024)


def test_it_is_read_over_one_connection() -> None:
    storage = Played()
    with stored(storage) as file:
        assert file.read() == CONTENT
        assert file.read(1) == b""
    assert storage.opened == 1


def test_it_can_be_sought_in() -> None:
    storage, whence = Played(), {io.SEEK_SET: 0, io.SEEK_END: len(CONTENT)}
    with stored(storage) as file:
        for offset, start in ((-22, io.SEEK_END), (0, io.SEEK_SET), (2 * NEAR, io.SEEK_SET), (100, io.SEEK_SET)):
            file.seek(offset, start)
            at = whence[start] + offset
            assert file.read(50) == CONTENT[at : at + 50]
    assert storage.opened == 4


def test_a_small_jump_forwards_needs_no_new_connection() -> None:
    storage = Played()
    with stored(storage) as file:
        file.read(10)
        file.seek(NEAR // 2)
        assert file.read(10) == CONTENT[NEAR // 2 : NEAR // 2 + 10]
    assert storage.opened == 1


def test_a_broken_connection_is_opened_again_where_it_broke() -> None:
    storage = Played(NEAR)
    with stored(storage) as file:
        assert file.read() == CONTENT
    assert storage.opened == 3


def test_a_storage_that_gives_nothing_is_away() -> None:
    with stored(Played(0)) as file, pytest.raises(Unavailable):
        file.read(1)
