"""WebSocket frames where flask-sock's own methods will not do: a frame made once for all, a message larger than memory,
and the end of a connection."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from socket import SHUT_RDWR

from simple_websocket import ConnectionClosed, Server
from wsproto.events import BytesMessage
from wsproto.frame_protocol import CloseReason

from ..errors import CoordinatorError
from .whole_writes import CHUNK

NORMAL, POLICY, GOING_AWAY, TRY_AGAIN = 1000, 1008, 1012, 1013
"""With which the server closes; the document of messages says what each means."""
SILENT = "You answered no ping; connect again with the last seq as 'after'."


def send_text(ws: Server, frame: str | bytes) -> None:
    """One text message; bytes are a whole frame, made once for all sockets."""
    if isinstance(frame, str):
        ws.send(frame)
    elif ws.connected:
        ws.sock.send(frame)
    else:
        raise ConnectionClosed(ws.close_reason, ws.close_message)


def send_binary(ws: Server, chunks: Iterator[bytes], check: Callable[[], None]) -> None:
    """One binary message out of chunks, as fragments: a model of any size costs a chunk of memory.

    A source that fails in the middle ends the connection, and so does `check`, which raises once the client may have no
    more: between fragments nothing may be said but good-bye.
    """
    for fragment in _fragments(ws, chunks):
        try:
            check()
        except CoordinatorError as error:
            ws.close(CloseReason.POLICY_VIOLATION, error.detail[:120])
            raise ConnectionClosed(CloseReason.POLICY_VIOLATION, error.detail) from error
        ws.sock.send(ws.ws.send(BytesMessage(data=fragment, message_finished=False)))
    ws.sock.send(ws.ws.send(BytesMessage(data=b"", message_finished=True)))


def _fragments(ws: Server, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Small enough that the kernel has room for the rest of one when its client stops reading."""
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), CHUNK):
                yield chunk[start : start + CHUNK]
    except Exception as error:  # whatever the source raises
        ws.close(TRY_AGAIN, "The model can't be read from storage at the moment; connect again.")
        raise ConnectionClosed(TRY_AGAIN, f"The model could not be sent to its end: {error}") from error


def ignore_what_comes(ws: Server) -> None:
    """Whatever a game says after its hello is read and forgotten; simple-websocket would keep it all."""
    ws.input_buffer = deque(maxlen=1)


def let_the_silent_come_back(ws: Server) -> None:
    """A client that answers no ping is closed with 1013, not with simple-websocket's 1008: that means refused."""
    close = ws.close

    def close_for(reason: int | None = None, message: str | None = None) -> None:
        if reason == CloseReason.POLICY_VIOLATION and message == "Ping/Pong timeout":
            if not ws.connected:
                raise OSError("The client has gone without answering our close.")  # ends the thread that reads from it
            reason, message = TRY_AGAIN, SILENT
        close(reason, message)

    ws.close = close_for


def wait_for_farewell(ws: Server, seconds: float, is_urgent: Callable[[], bool]) -> None:
    """Until the client has answered our close, or has gone: closed before, it might never read what was sent last.

    One that was let go for reading nothing has longer, unless it is urgent. One that does not answer is cut off, or the
    thread that reads from it would keep the process from ending.
    """
    began = time.monotonic()
    while ws.thread.is_alive() and time.monotonic() < began + (seconds if is_urgent() else ws.sock.patience(seconds)):
        ws.thread.join(min(seconds, 1.0))
    if ws.thread.is_alive():
        with suppress(OSError):
            ws.sock.shutdown(SHUT_RDWR)
        ws.thread.join(seconds)
