"""Flower behind a login, whatever it serves: by itself it leaves `/metrics` and `/healthcheck` open to everybody.

Whoever logs in may look. What would change something is refused before Flower sees it, unless the operator allows it.
"""

import hmac
import logging
import signal
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any, NamedTuple

from flower.app import Flower
from flower.command import setup_logging
from flower.options import options
from flower.urls import settings
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform, RequestHandler

from . import broker, flower_events
from .config import Config
from .errors import BadConfiguration

log = logging.getLogger(__name__)
MOST_TASKS = 5_000
"""Kept in memory; Flower's own 100 000 cost a gigabyte."""
LOOKS = {"GET", "HEAD"}
ALSO_LOOKS = {("POST", "/tasks/datatable")}
"""By which the page of tasks fetches its rows."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
NO_LOGIN = (
    "Flower shows what everybody trains, so it does not start without a login. Set FLOWER_BASIC_AUTH to user:password."
)
NO_LOGIN_SENT = "Log in as FLOWER_BASIC_AUTH says.\n"
CHANGES_ALLOWED = (
    "FLOWER_READ_ONLY is off: whoever has Flower's login can stop `results`, and send tasks in the coordinator's name."
)
READ_ONLY = "Flower only shows here. Set FLOWER_READ_ONLY=0 to let it change things.\n"


class Refused(NamedTuple):
    """What is said instead of the page."""

    status: int
    sentence: str


class Refusal(RequestHandler):
    """The answer to whoever may not, whatever the method."""

    def initialize(self, refused: Refused) -> None:
        self.refused = refused

    def check_xsrf_cookie(self) -> None:
        """It is refused anyway."""

    def prepare(self) -> None:
        self.set_status(self.refused.status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        if self.refused.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower", charset="UTF-8"')
        self.finish(self.refused.sentence)


class SafeHeaders(OutputTransform):
    """On every answer, static files and errors too."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        headers.pop("Server", None)
        for name, value in HEADERS.items():
            headers[name] = value
        return status_code, headers, chunk


class GuardedFlower(Flower):
    """Flower's web application; who asks is looked at before any of its addresses is."""

    def __init__(self, logins: list[str], is_read_only: bool, **its: Any) -> None:
        super().__init__(**its)
        self._logins = [login.encode() for login in logins]
        self._is_read_only = is_read_only
        self.add_transform(SafeHeaders)

    def find_handler(self, request: HTTPServerRequest, **its: Any) -> Any:
        refused = self._refused(request)
        if refused:
            return self.get_handler_delegate(request, Refusal, {"refused": refused})
        return super().find_handler(request, **its)

    def _refused(self, request: HTTPServerRequest) -> Refused | None:
        if not self._is_known(request.headers.get("Authorization", "")):
            return Refused(401, NO_LOGIN_SENT)
        looks = request.method in LOOKS or (request.method, request.path) in ALSO_LOOKS
        return Refused(403, READ_ONLY) if self._is_read_only and not looks else None

    def _is_known(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            login = b64decode(encoded.strip(), validate=True)
        except (NotBase64, ValueError):
            return False
        # all of them, so that the time tells nothing of which one was nearly right
        fits = [hmac.compare_digest(login, one) for one in self._logins]
        return scheme.lower() == "basic" and any(fits)


def serve(config: Config) -> None:
    """Until SIGTERM. Raises BadConfiguration without a login."""
    logins = logins_of(config)
    flower_events.listen_safely()
    celery = broker.make_celery(config.broker_url, "flower", config.broker_files)
    flower = GuardedFlower(logins, config.flower_read_only, capp=celery, options=_options(config, logins), **settings)
    setup_logging()
    if not config.flower_read_only:
        log.warning(CHANGES_ALLOWED)
    for number in (signal.SIGTERM, signal.SIGINT):
        flower.io_loop.asyncio_loop.add_signal_handler(number, flower.io_loop.stop)
    flower.start_http_server()
    try:
        flower.start()
    finally:
        flower.stop()


def logins_of(config: Config) -> list[str]:
    """Each as user:password. Raises BadConfiguration."""
    logins = [one.strip() for one in config.flower_basic_auth.split(",") if one.strip()]
    if not logins:
        raise BadConfiguration(NO_LOGIN)
    if any(not all(login.partition(":")[::2]) for login in logins):
        raise BadConfiguration("FLOWER_BASIC_AUTH must be user:password, or several of them divided by commas.")
    return logins


def _options(config: Config, logins: list[str]) -> Any:
    """Flower's own, from our settings: on a command line every user of the machine would read the passwords."""
    options.address, options.port = config.flower_address, config.flower_port
    options.basic_auth = logins
    options.broker_api = config.flower_broker_api or None
    options.read_only = config.flower_read_only
    options.max_tasks = MOST_TASKS
    return options
