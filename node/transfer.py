"""One file on its way to S3. As long as its bytes flow it may take any time; one that has fallen silent is cut off."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

LOOK_SECONDS = 0.1
CONNECT_SECONDS = 10.0
"""Longest time from the begin to the first byte."""
NEVER_SECONDS = 86_400.0
"""Whether it has to end is judged here, by what flows; requests has only one measure for the whole answer."""
TRANSFER_SECONDS = 60.0
"""Longest silence of S3 within a transfer."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which one file is sent."""

    silence_s: float = TRANSFER_SECONDS
    must_end: Callable[[], bool] = lambda: False
    moved: Callable[[int], None] = lambda size: None
    """Hears of each piece that is on its way, in bytes."""


class Broken(Exception):
    """It did not come to its end; the text says why."""


def put(link: str, path: Path, terms: Terms) -> int:
    """Sends the file and returns S3's status. Raises Broken, also as soon as it must end; OSError for a bad file.

    It goes on in a thread of its own: nothing else can end a request that waits for a network in silence.
    """
    silence_s = min(terms.silence_s, TRANSFER_SECONDS)
    body, answer = _Body(path, terms.moved), _Answer()
    thread = threading.Thread(target=_put, args=(link, body, answer), name="transfer", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        is_silent = body.is_silent(silence_s)
        if thread.is_alive() and (is_silent or terms.must_end()):
            body.end()
            raise Broken("it is silent" if is_silent else "there was no more time")
    if answer.error:
        raise Broken(type(answer.error).__name__) from answer.error
    return answer.status


class _Answer:
    status = 0
    error: Exception | None = None


class _Body:
    """The file as requests reads it, piece by piece."""

    def __init__(self, path: Path, moved: Callable[[int], None]) -> None:
        self._file, self._tell = path.open("rb"), moved
        self.size = path.stat().st_size
        self._began = time.monotonic()
        self._moved: float | None = None
        self._connection: socket.socket | None = None
        self._waiting = 0  # bytes that were read here and that the other side has not got yet
        self._is_ended = False

    def __len__(self) -> int:
        return self.size

    def read(self, size: int = -1) -> bytes:
        if self._is_ended:
            raise OSError("It was given up.")
        self._moved = time.monotonic()
        piece = self._file.read(size)
        self._tell(len(piece))
        return piece

    def is_silent(self, seconds: float) -> bool:
        """Whether no byte has moved for so long."""
        self._look()
        if self._moved is None:
            return time.monotonic() - self._began > min(seconds, CONNECT_SECONDS)
        return time.monotonic() - self._moved > seconds

    def watch(self, connection: socket.socket) -> None:
        """It goes over this one: the system takes megabytes of it before they are on their way."""
        self._connection = connection

    def _look(self) -> None:
        try:
            waiting = _unsent(self._connection) if self._connection else 0
        except (OSError, ValueError):  # it is closed: the answer is on its way to whoever waits for it
            return
        if waiting != self._waiting:
            self._waiting, self._moved = waiting, time.monotonic()

    def end(self) -> None:
        """Wakes up whoever waits for the connection."""
        self._is_ended = True
        if self._connection:
            with contextlib.suppress(OSError):  # it has ended already
                self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._file.close()


class _Watched(HTTPAdapter):
    """Shows the body over which connection it goes."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        super().__init__()

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        usual, watch = pool.ConnectionCls, self._body.watch

        def connect(self: Any) -> None:
            usual.connect(self)
            watch(self.sock)

        pool.ConnectionCls = type("Shown", (usual,), {"connect": connect})
        return pool


def _unsent(connection: socket.socket) -> int:
    """Bytes that the other side has not confirmed."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0])


def _put(link: str, body: _Body, answer: _Answer) -> None:
    data: Any = body if body.size else b""  # an empty file would go in chunks, which S3 refuses
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Watched(body))
            answer.status = session.put(link, data=data, timeout=NEVER_SECONDS).status_code
    except (requests.RequestException, OSError) as error:
        answer.error = error
    finally:
        body.close()
