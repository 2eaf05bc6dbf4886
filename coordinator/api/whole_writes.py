"""What stands in for the socket of a WebSocket: each frame is written whole, and a client that does not read is let go.

simple-websocket sends with `socket.send`, which under gevent writes only what fits the socket's buffer and reports the
rest as unsent; the rest would be lost and the stream corrupted.
"""

import fcntl
import os
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Any

import gevent
from gevent.lock import RLock

from ..live.frames import close_frame

CHUNK, MOST_UNREAD = 65_536, 4 * 1024 * 1024
MOST_UNSENT = 128 * 1024
"""What the kernel keeps for a slow client beyond what is on its way; its usual megabytes would make live late."""
MOST_AT_THE_END = 256 * 1024
"""What the kernel may keep for a client that is let go: that, and the rest of a frame such as a model's chunk."""
TOO_SLOW = close_frame(1013, "You read too slowly; connect again with the last seq as 'after'.")


class TooSlow(OSError):
    """The client takes nothing. It has been told, behind what it has still to read; nothing more can be sent."""


class WholeWrites:
    """A socket whose `send` writes everything, one writer at a time, and lets go of a client that takes nothing.

    A client that takes nothing for `seconds` is told 1013 behind what is already on its way. It may read on and find
    that for `linger_seconds`; then, or where the kernel has no room for the rest of a frame, the connection breaks.
    """

    def __init__(self, sock: socket.socket, seconds: float, linger_seconds: float = 0.0) -> None:
        self._sock, self._seconds, self._lock = sock, seconds, RLock()
        self._linger_seconds = max(seconds, linger_seconds)
        self.is_let_go = False

    def send(self, data: bytes, flags: int = 0) -> int:
        """Writes all of `data`, which is made of whole frames. Raises TooSlow, or OSError where the client has gone."""
        with self._lock:
            if self.is_let_go:
                raise TooSlow("The client has been let go.")
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[self._send_some(rest, flags) :]
            except TooSlow:
                self._let_go(rest)
                raise
            except BaseException:
                self._break()
                raise
        return len(data)

    sendall = send

    def patience(self, seconds: float) -> float:
        """How long to wait for the client's good-bye: longer than `seconds` for one that has been let go."""
        return self._linger_seconds if self.is_let_go else seconds

    def _send_some(self, data: memoryview, flags: int) -> int:
        """What fits the socket's buffer, once something does. Raises TooSlow when the client takes nothing.

        The kernel reports room only when a third of its buffer is free, which a slow client may need minutes for: what
        counts is whether the client has acknowledged anything.
        """
        waiting = self._unacknowledged()
        while True:
            with gevent.Timeout(self._seconds, False):
                return int(self._sock.send(data, flags))
            before, waiting = waiting, self._unacknowledged()
            if waiting >= before:
                raise TooSlow(f"The client took no data for {self._seconds:g} s.")

    def _unacknowledged(self) -> int:
        """Bytes in the kernel that the client has not acknowledged."""
        return int.from_bytes(fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _let_go(self, rest: memoryview) -> None:
        """Puts the rest of the frame and 1013 into the kernel, at once and whatever its usual bound, and ends there."""
        self.is_let_go = True
        last = rest.tobytes() + TOO_SLOW
        with suppress(OSError):  # no TCP, or the client has gone
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 0)
        with suppress(OSError):
            last = last[self._write_now(last) :]
        if last:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_AT_THE_END)
                last = last[self._write_now(last) :]
        if last:
            self._break()  # half a frame is of no use
        else:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def _write_now(self, data: bytes) -> int:
        """How much of it the kernel takes without waiting."""
        written = 0
        with suppress(BlockingIOError):
            while written < len(data):
                written += os.write(self._sock.fileno(), data[written:])
        return written

    def close(self) -> None:
        """Says good-bye and reads to the end, for a while, what the client has still to say.

        A socket that is closed with something unread resets the connection: the client would lose what was sent last.
        """
        try:
            with suppress(OSError), gevent.Timeout(self.patience(self._seconds), False):  # OSError: it has gone already
                self._sock.shutdown(socket.SHUT_WR)
                for _ in range(MOST_UNREAD // CHUNK):  # a flood would never let the timeout have its turn
                    if not self._sock.recv(CHUNK):
                        break
        finally:
            self._sock.close()

    def _break(self) -> None:
        """What waits in the kernel is thrown away, and the client sees a broken line."""
        with suppress(OSError):  # it is shut already
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.shutdown(socket.SHUT_RDWR)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class WholeWritesMiddleware:
    """Puts `WholeWrites` into the WSGI environment of WebSocket requests, and refuses compression.

    permessage-deflate costs 100 kB a client and five times the processor time, for messages of 200 bytes.
    """

    def __init__(self, app: Any, seconds: float, linger_seconds: float) -> None:
        self._app, self._seconds, self._linger_seconds = app, seconds, linger_seconds

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
            if sock := environ.get("gunicorn.socket"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
                # also when this process has closed it, the kernel keeps unread data no longer
                most_ms = int(1_000 * max(self._seconds, self._linger_seconds))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, most_ms)
                environ["gunicorn.socket"] = WholeWrites(sock, self._seconds, self._linger_seconds)
        return self._app(environ, start_response)
