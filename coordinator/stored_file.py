"""A stored object as a file that can be sought in: archives are looked into without a copy on disk."""

import io
from typing import Any, cast

from .errors import Unavailable
from .storage import Body, Storage

NEAR = 1024 * 1024
"""Bytes that are read and dropped rather than asked for anew."""
TRIES = 3


class StoredFile(io.RawIOBase):
    """Reads forwards over one connection; a jump opens another. Raises Unavailable when S3 does not answer."""

    def __init__(self, storage: Storage, key: str, size: int) -> None:
        super().__init__()
        self._storage, self._key, self._size = storage, key, size
        self._at = self._body_at = 0
        self._body: Body | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the beginning of the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._at >= self._size or not view:
            return 0
        for tries in range(1, TRIES + 1):
            try:
                return self._read(view)
            except OSError as error:
                self.drop()
                if tries == TRIES:
                    raise Unavailable(f"Storage broke off ({type(error).__name__}).") from error
        raise AssertionError

    def _read(self, view: memoryview) -> int:
        if not (self._body and 0 <= self._at - self._body_at <= NEAR):
            self.drop()
            self._body, self._body_at = self._storage.body(self._key, self._at), self._at
        while self._body_at < self._at:
            self._body_at += len(self._chunk(self._at - self._body_at))
        chunk = self._chunk(len(view))
        view[: len(chunk)] = chunk
        self._at = self._body_at = self._at + len(chunk)
        return len(chunk)

    def _chunk(self, most: int) -> bytes:
        chunk = cast(Body, self._body).read(most)
        if not chunk:
            raise OSError("it ended before its end")
        return chunk

    def drop(self) -> None:
        """Closes the connection; the next reading opens another."""
        if self._body:
            self._body.close()
        self._body = None

    def close(self) -> None:
        self.drop()
        super().close()
