"""Who is let in at the WebSocket, by which of the ways a token can come, and who has to leave."""

import logging
import time
from urllib.parse import SplitResult, urlsplit

from flask import request

from .. import queries
from ..accounts import tickets, tokens
from ..config import Config
from ..errors import NotAllowed, NotAuthenticated, NotFound
from ..permissions import Caller
from . import auth, pacing
from .answers import DATABASE_AWAY
from .proxies import address_of
from .schemas import Hello

log = logging.getLogger(__name__)
BEARER = "bearer"
"""The subprotocol after whose name a token comes: `Sec-WebSocket-Protocol: bearer, <token>`."""
PORTS = {"http": 80, "https": 443}
GUESTS_WATCH = "Without a token a run can be watched, and nothing else. Send a token for its logs and episodes."


class Admission:
    """One socket's right to watch one run: it lasts as long as its token, and as the token's user sees the run."""

    def __init__(self, shown: auth.Shown | None, watched: queries.Watched, who: Caller | None) -> None:
        self.watched, self.who = watched, who
        self._shown = shown
        """Of the token; None of an old game that has none."""
        self._next = time.monotonic() + tokens.KNOWN_SECONDS

    def check(self) -> None:
        """Looks again, at most every two seconds. Raises NotAuthenticated, and NotFound for a user who lost his place.

        While PostgreSQL is away nothing can be revoked, and the socket stays.
        """
        if self._shown is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + tokens.KNOWN_SECONDS
        try:
            who = _user(self._shown)
        except DATABASE_AWAY as error:
            log.debug("A socket's token can't be looked up at the moment: %s", error)
            return
        if not queries.sees(who, self.watched.team_id):
            raise NotFound(queries.NO_RUN.format(self.watched.run_id))


def admit(hello: Hello, config: Config) -> Admission:
    """Raises NotAuthenticated without a good token or ticket, NotFound for a run that its user may not see."""
    if config.serve_games_without_token and not _has_token(hello):
        if hello.logs or hello.episode:
            raise NotAuthenticated(GUESTS_WATCH)
        return Admission(None, queries.watched(hello.run_id, None), None)
    shown = _shown(hello)
    who = _user(shown)
    pacing.check_request(who)
    return Admission(shown, queries.watched(hello.run_id, who), who)


def check_origin(config: Config) -> None:
    """Of a browser's request; whoever sends no Origin is no browser. Raises NotAllowed."""
    origin = request.headers.get("Origin")
    if origin is None:
        return
    if config.allowed_origins:
        is_good = is_named(origin, config.allowed_origins)
    else:
        is_good = any(_is_of(origin, host) for host in _own_hosts(config))
    if not is_good:
        raise NotAllowed(
            f"Web pages of {origin[:200]!r} may not connect here; the operator's ALLOWED_ORIGINS says which."
        )


def _own_hosts(config: Config) -> list[str]:
    """The operator's word, and a Host that is an address: a name may be made to lead here by whoever owns it."""
    if not config.public_url:
        return [request.host]
    return [urlsplit(config.public_url).netloc, *([request.host] if address_of(request.host) else [])]


def is_named(origin: str, allowed: str) -> bool:
    """Whether the operator's ALLOWED_ORIGINS has it."""
    return allowed == "*" or origin.lower() in {one.strip().rstrip("/").lower() for one in allowed.split(",")}


def _user(shown: auth.Shown) -> Caller:
    bearer = auth.bearer(shown)
    if not isinstance(bearer, Caller):
        raise NotAuthenticated(auth.NO_NODE)
    return bearer


def _shown(hello: Hello) -> auth.Shown:
    """Of the token: the hello's own, the one behind its ticket, the subprotocol's, or the header's."""
    if hello.token is not None:
        return auth.shown(hello.token)
    if hello.ticket is not None:
        ticket, run_id = hello.ticket, hello.run_id
        return pacing.counting_wrong_ones(lambda: tickets.redeem(ticket, run_id), is_known=False)
    if (token := _of_subprotocol()) is not None:
        return auth.shown(token)
    return auth.shown(tokens.of_header(request.headers.get("Authorization")))


def _has_token(hello: Hello) -> bool:
    said = (hello.token, hello.ticket, _of_subprotocol(), request.headers.get("Authorization"))
    return any(it is not None for it in said)


def _of_subprotocol() -> str | None:
    words = [word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return words[1] if len(words) == 2 and words[0] == BEARER else None


def _is_of(origin: str, host: str) -> bool:
    """Whether an origin names this host. A proxy may have taken TLS off, so the scheme counts only for its port."""
    try:
        its = urlsplit(origin)
        ours = urlsplit(f"{its.scheme}://{host}")
        return bool(its.hostname) and its.hostname == ours.hostname and _port(its) == _port(ours)
    except ValueError:
        return False


def _port(of: SplitResult) -> int | None:
    return of.port or PORTS.get(of.scheme)
