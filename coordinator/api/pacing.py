"""How often somebody may ask, and how many WebSockets he may have; in each web process, before it costs anything."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from typing import TypeVar

from flask import current_app, g, request

from ..errors import NotAuthenticated, TooMany, TooManyRequests
from ..limiting import allowance
from ..parts import parts
from ..permissions import Caller

T = TypeVar("T")
SOCKETS_SECONDS = 10
EXPORTS_AT_ONCE = 2
TURN_SECONDS = 5.0
"""For so long a request waits for others of the same user to end."""
OF_ONE_CLIENT = 64
"""Bits of an IPv6 address that are the same in all that one client may take."""


def check_request(who: Caller | None) -> None:
    """One more request of this user in this team. Raises TooManyRequests."""
    pace = parts(current_app).meters.requests
    for key, whose, limits in _counted(who):
        most = limits["requests_per_minute"]
        if seconds := pace.take(key, most):
            raise TooManyRequests(
                f"{whose} may send {most} requests a minute, and has sent more. Try again in {math.ceil(seconds)} s.",
                seconds,
            )


def begin_turn(who: Caller | None) -> None:
    """From now on the request is one of those at work, until `end_turn`. Waits for it. Raises TooManyRequests."""
    g.turn, g.turn_is_of = ExitStack(), who
    g.turn.enter_context(turn_of(who))


def end_turn() -> None:
    """Of a request that has one."""
    if (turn := g.pop("turn", None)) is not None:
        turn.close()


@contextmanager
def without_turn() -> Iterator[None]:
    """While a client takes its time to send a body, others of the same user may be at work."""
    had_one = "turn" in g
    end_turn()
    yield
    if had_one:
        begin_turn(g.turn_is_of)


@contextmanager
def turn_of(who: Caller | None) -> Iterator[None]:
    """One of the requests of this user in this team that are at work. Waits for it. Raises TooManyRequests."""
    at_once = parts(current_app).meters.at_once
    with ExitStack() as turns:
        for key, whose, limits in _counted(who):
            most = limits["requests_at_once"]
            if not turns.enter_context(at_once.turn(key, most, TURN_SECONDS)):
                raise TooManyRequests(
                    f"{whose} may have {most} requests at work at the same time, and more than that wait already. Try "
                    "again in a second.", 1)  # fmt: skip
        yield


def export_of(who: Caller, pieces: Iterator[T]) -> Iterator[T]:
    """The pieces of an answer that is made while it is sent, as long as its client takes. Raises TooManyRequests."""
    with parts(current_app).meters.at_once.turn(("export", who.user_id), EXPORTS_AT_ONCE, TURN_SECONDS) as is_in:
        if not is_in:
            raise TooManyRequests(
                f"User {who.name!r} is being sent {EXPORTS_AT_ONCE} exports already. Try again when one has ended.",
                TURN_SECONDS,
            )
        yield from pieces


def counting_wrong_ones(look_up: Callable[[], T], *, is_known: bool) -> T:
    """Looks a token up. From an address from which too many wrong ones came, none is looked up but those that were good
    a moment ago. Raises TooManyRequests, and what the look-up raises."""
    its, address = parts(current_app), _network()
    most = its.config.wrong_tokens_per_minute
    if not is_known and (seconds := its.meters.wrong_tokens.wait(address, most)):
        raise TooManyRequests(
            f"Too many wrong tokens have come from this address. Try again in {math.ceil(seconds)} s.", seconds
        )
    try:
        return look_up()
    except NotAuthenticated:
        its.meters.wrong_tokens.take(address, most)
        raise


@contextmanager
def socket_of(who: Caller | None) -> Iterator[None]:
    """One more WebSocket of this user, for as long as it lasts. Raises TooMany."""
    held, keys = parts(current_app).meters.sockets, list[str]()
    for key, whose, limits in _counted(who):
        most, has = limits["sockets"], held.count(str(key))
        if most and has >= most:
            raise TooMany(f"{whose} has {has} WebSockets here, and may have {most}. Close some, or come back later. "
                          "Ask the operator for more (limit 'sockets').", SOCKETS_SECONDS)  # fmt: skip
        keys.append(str(key))
    held.add(*keys)
    try:
        yield
    finally:
        held.remove(*keys)


def _counted(who: Caller | None) -> list[tuple[Hashable, str, Mapping[str, int]]]:
    """Who is counted, what sentences call him, and his limits: the user, and his team; None is an old game, for whose
    address a user's usual limits hold."""
    if who is None:
        return [(f"guest {_network()}", f"Address {_network()}", parts(current_app).limits.users)]
    its = allowance.granted(who)
    return [(who.user_id, f"User {who.name!r}", its.user), (who.team_id, f"Team {who.team!r}", its.team)]


def _network() -> str:
    """Where the request comes from: an address, or of IPv6 all those that whoever has this one has too."""
    address = request.remote_addr or ""
    return str(ip_network(f"{address}/{OF_ONE_CLIENT}", strict=False)) if ":" in address else address
