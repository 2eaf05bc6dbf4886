"""What stands in for the body that gunicorn hands out: one that comes slowly, or in broken pieces, is an error with a
sentence, and no client keeps a request waiting for ever."""

import socket
import time
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.http.errors import ParseException

from ..errors import BadRequest, TooSlow

SLOW = "The body did not come to its end within {:g} s."
BROKEN = "The body is not in chunks as HTTP knows them: {}."


class RequestBody:
    """Has `seconds` from its first reading to its end. Raises TooSlow and BadRequest."""

    def __init__(self, given: Any, seconds: float, sock: socket.socket | None) -> None:
        self._given, self._seconds, self._sock = given, seconds, sock
        self._ends: float | None = None

    def read(self, size: int = -1) -> bytes:
        self._ends = self._ends or time.monotonic() + self._seconds
        slow = TooSlow(SLOW.format(self._seconds))
        try:
            with gevent.Timeout(max(0.001, self._ends - time.monotonic()), slow):
                return bytes(self._given.read(size))
        except ParseException as error:
            raise BadRequest(BROKEN.format(str(error)[:200].rstrip("."))) from error
        except TooSlow:
            self._hear_no_more()
            raise

    def _hear_no_more(self) -> None:
        """gunicorn would wait for the rest before it closes."""
        with suppress(AttributeError, OSError):
            self._sock.shutdown(socket.SHUT_RD)  # type: ignore[union-attr]


class RequestBodies:
    """Puts a RequestBody into the WSGI environment of each request."""

    def __init__(self, app: Any, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.input"] = RequestBody(environ["wsgi.input"], self._seconds, environ.get("gunicorn.socket"))
        return self._app(environ, start_response)
