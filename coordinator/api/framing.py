"""WebSocket frames where flask-sock's own `send` will not do: partial writes, and a message larger than memory.

simple-websocket sends with `socket.send`, which under gevent writes only what fits the socket's buffer and reports the
rest as unsent; the rest would be lost and the stream corrupted. `WholeWrites` stands in for the socket.
"""

import fcntl
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
from gevent.lock import RLock
from simple_websocket import ConnectionClosed, Server
from wsproto.events import BytesMessage

CHUNK, MOST_UNREAD = 65_536, 4 * 1024 * 1024
MOST_UNSENT = 128 * 1024
"""What the kernel keeps for a slow client beyond what is on its way; its usual megabytes would make live late."""


class WholeWrites:
    """A socket whose `send` writes everything, one writer at a time, within a deadline; else the socket is dead."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock, self._seconds, self._lock = sock, seconds, RLock()

    def send(self, data: bytes, flags: int = 0) -> int:
        """Writes all of `data`. A client that takes nothing for `seconds` is cut off: half a frame can't be mended."""
        with self._lock:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._send_some(rest, flags) :]
            except BaseException:
                self._shut()
                raise
        return len(data)

    sendall = send

    def _send_some(self, data: memoryview, flags: int) -> int:
        """What fits the socket's buffer, once something does. Raises TimeoutError when the client takes nothing.

        The kernel reports room only when a third of its buffer is free, which a slow client may need minutes for: what
        counts is whether the client has acknowledged anything.
        """
        waiting = self._unacknowledged()
        while True:
            with gevent.Timeout(self._seconds, False):
                return int(self._sock.send(data, flags))
            before, waiting = waiting, self._unacknowledged()
            if waiting >= before:
                raise TimeoutError(f"The client took no data for {self._seconds:g} s.")

    def _unacknowledged(self) -> int:
        """Bytes in the kernel that the client has not acknowledged."""
        return int.from_bytes(fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def close(self) -> None:
        """Says good-bye and reads to the end, for a while, what the client has still to say.

        A socket that is closed with something unread resets the connection: the client would lose what was sent last.
        """
        try:
            with suppress(OSError), gevent.Timeout(self._seconds, False):  # OSError: the client has gone already
                self._sock.shutdown(socket.SHUT_WR)
                for _ in range(MOST_UNREAD // CHUNK):  # a flood would never let the timeout have its turn
                    if not self._sock.recv(CHUNK):
                        break
        finally:
            self._sock.close()

    def _shut(self) -> None:
        """Half a frame is of no use: what waits in the kernel is thrown away, and the client sees a broken line."""
        with suppress(OSError):  # it is shut already
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._sock.shutdown(socket.SHUT_RDWR)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class WholeWritesMiddleware:
    """Puts `WholeWrites` into the WSGI environment of WebSocket requests, and refuses compression.

    permessage-deflate costs 100 kB a client and five times the processor time, for messages of 200 bytes.
    """

    def __init__(self, app: Any, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
            if sock := environ.get("gunicorn.socket"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
                environ["gunicorn.socket"] = WholeWrites(sock, self._seconds)
        return self._app(environ, start_response)


def send_text(ws: Server, frame: str | bytes) -> None:
    """One text message; bytes are a whole frame, made once for all sockets."""
    if isinstance(frame, str):
        ws.send(frame)
    elif ws.connected:
        ws.sock.send(frame)
    else:
        raise ConnectionClosed(ws.close_reason, ws.close_message)


def send_binary(ws: Server, chunks: Iterator[bytes]) -> None:
    """One binary message out of chunks, as fragments: a model of any size costs a chunk of memory.

    A source that fails in the middle ends the connection: nothing else may be said inside a message.
    """
    try:
        for chunk in chunks:
            ws.sock.send(ws.ws.send(BytesMessage(data=chunk, message_finished=False)))
        ws.sock.send(ws.ws.send(BytesMessage(data=b"", message_finished=True)))
    except Exception as error:
        ws.sock.shutdown(socket.SHUT_RDWR)
        raise ConnectionClosed(1011, f"The model could not be sent to its end: {error}") from error


def ignore_what_comes(ws: Server) -> None:
    """Whatever a game says after its hello is read and forgotten; simple-websocket would keep it all."""
    ws.input_buffer = deque(maxlen=1)


def wait_for_farewell(ws: Server, seconds: float) -> None:
    """Until the client has answered our close, or has gone: closed before, it might never read what was sent last.

    One that does not answer is cut off, or the thread that reads from it would keep the process from ending.
    """
    ws.thread.join(seconds)
    if ws.thread.is_alive():
        with suppress(OSError):
            ws.sock.shutdown(socket.SHUT_RDWR)
        ws.thread.join(seconds)
