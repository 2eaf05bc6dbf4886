"""gunicorn's worker as hostile clients need it: what is no HTTP request is answered in JSON like everything else, and a
client that takes nothing of its answer is let go. And nobody who asks for nothing holds up the end of the process."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

from gevent import Greenlet, getcurrent
from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

NO_REQUEST = (400, "bad_http", "This is no HTTP request that is understood here: {}.")
REFUSALS: dict[type[Exception], tuple[int, str, str]] = {
    errors.LimitRequestLine: (414, "address_too_long", "The address of the request is too long: {}."),
    errors.LimitRequestHeaders: (431, "headers_too_large", "The request has too many headers, or too long ones: {}."),
    errors.ExpectationFailed: (417, "expectation_failed", "Of 'Expect', only '100-continue' is understood here: {}."),
}
IDLE_SECONDS = 1.0
"""So long may a request be on its way when the process is told to end."""
OUR_OWN = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
"""What looks like a client's mistake, and is none."""


class WebWorker(GeventWorker):
    """Serves one process's connections."""

    def init_process(self) -> None:
        self.log.error_log.addFilter(_is_news)
        super().init_process()

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._waiting: dict[Greenlet, float] = {}
        """Those whose clients have not sent their next request yet, and since when."""

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Around the wait for a request, which is all that gunicorn needs it for."""
        its = getcurrent()
        self._waiting[its] = time.monotonic()
        try:
            with super().timeout_ctx():
                yield
        finally:
            del self._waiting[its]

    def notify(self) -> None:
        """Called once a second. Where the process is to end, connections without a request are closed."""
        super().notify()
        if not self.alive:
            for its, since in list(self._waiting.items()):
                if time.monotonic() - since > IDLE_SECONDS:
                    its.kill(StopIteration, block=False)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        with suppress(OSError):  # a socket in the file system has no such option
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1_000 * self.cfg.keepalive))
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:  # it took nothing for so long: no news, and its connection is closed
            raise StopIteration from error

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers, before the connection is closed."""
        if not isinstance(exc, errors.ParseException) or isinstance(exc, OUR_OWN):
            super().handle_error(req, client, addr, exc)
            return
        status, code, sentence = REFUSALS.get(type(exc), NO_REQUEST)
        self.log.info("Refused from %s: %s", addr[0] if addr else "a local socket", exc)
        with suppress(OSError):  # it has gone
            util.write_nonblock(client, _answer(status, code, sentence.format(str(exc)[:200].rstrip("."))))


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a client took nothing for so long that its connection ended, while its next request was awaited."""
    return not (record.exc_info and isinstance(record.exc_info[1], TimeoutError))


def _answer(status: int, code: str, detail: str) -> bytes:
    body = json.dumps({"code": code, "detail": detail}).encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head += "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"  # as api/headers.py has it
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
