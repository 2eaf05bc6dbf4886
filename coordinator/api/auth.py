"""The door of the REST API: who calls, and what each route says that it needs. A route that says nothing is closed."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from flask import Flask, Response, current_app, g, request

from .. import audit, permissions, queries
from ..accounts import outsiders, tokens
from ..accounts.issuers.identity import Identity
from ..errors import NotAllowed, NotAuthenticated
from ..parts import parts
from ..permissions import Action, Caller
from . import pacing
from .proxies import CAME_BY_PROXY, address_of

Shown = bytes | Identity
View = TypeVar("View", bound=Callable[..., Any])
NEED = "_need"
NO_NODE = "This is a training node's token; a user's token is needed here."
NO_USER = "This is a user's token; a training node's token is needed here."
IS_LOCAL = "This token is for development: it is good on the coordinator's own machine only."
OF_A_THING = (Action.CHANGE_OWN, Action.CHANGE_OTHERS)
"""Whether the caller may depends on whose the thing is: the command that looks it up decides by the same table."""


class Door(Enum):
    """Of routes that ask for no user."""

    NODES = "a training node's token"
    ANYBODY = "nothing"
    ITS_OWN = "what it asks for by itself"


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks for."""

    of: Action | Door
    guests: bool = False
    """Whether old games may come without a token, where the operator serves those."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The user who has made something, and the name of the team that it belongs to."""

    id: UUID
    name: str
    team: str


def needs(of: Action | Door, *, guests: bool = False) -> Callable[[View], View]:
    """Says what a route needs; stands between the route's address and its function."""

    def mark(view: View) -> View:
        setattr(view, NEED, Need(of, guests))
        return view

    return mark


def register(app: Flask) -> None:
    """From now on each request is looked at before its route sees it."""
    app.before_request(guard)
    app.after_request(_answered)
    app.teardown_request(_forget)


def guard() -> None:
    """Raises NotAuthenticated or NotAllowed; leaves in `g` who calls."""
    g.pop("bearer", None)
    audit.act_as(None)
    rule = request.url_rule
    if rule is None or (request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)):
        return  # nothing is there, or Flask itself says which methods there are
    need = need_of(current_app.view_functions[rule.endpoint])
    if need is None:
        raise NotAllowed("Nobody has said who may use this address, so nobody may.")
    if need.of in (Door.ANYBODY, Door.ITS_OWN):
        return
    if need.guests and _is_guest():
        _let_in(None)
        return
    g.bearer = bearer(shown(tokens.of_header(request.headers.get("Authorization"))))
    audit.act_as(_actor())
    if need.of is Door.NODES:
        node_id()
    elif isinstance(need.of, Action):
        who = user()
        _let_in(who)
        if need.of not in OF_A_THING:
            permissions.require(who, need.of)


def _let_in(who: Caller | None) -> None:
    pacing.check_request(who)
    pacing.begin_turn(who)


def _answered(answer: Response) -> Response:
    """Now, and not when all of it is sent: a client may take its time."""
    pacing.end_turn()
    return answer


def _forget(_: BaseException | None) -> None:
    """Whatever became of the request."""
    pacing.end_turn()
    audit.act_as(None)


def need_of(view: Callable[..., Any]) -> Need | None:
    """What a route has said, if anything."""
    found = getattr(view, NEED, None)
    return found if isinstance(found, Need) else None


def shown(token: str) -> Shown:
    """What is looked up for a token: its digest, or of an outside issuer's whom that speaks for.

    Raises NotAuthenticated for one that the issuer has not signed for this installation, TooManyRequests after too many
    of those, and Unavailable while it can't be told.
    """
    issuers = parts(current_app).issuers
    if not issuers.takes(token):
        return tokens.digest_of(token)
    return pacing.counting_wrong_ones(lambda: issuers.identity(token), is_known=issuers.was_good(token))


def bearer(its: Shown) -> tokens.Bearer:
    """Who it is that has shown this, in this request. Raises NotAuthenticated."""
    if isinstance(its, Identity):
        return outsiders.caller_of(its, parts(current_app).issuers.scope, request.remote_addr or "unknown")
    found = pacing.counting_wrong_ones(lambda: tokens.bearer_of(its), is_known=tokens.was_good(its))
    if isinstance(found, Caller) and found.is_local and not _is_of_this_machine():
        raise NotAuthenticated(IS_LOCAL)
    return found


def user() -> Caller:
    """The user whose token the request carries. Raises NotAuthenticated, also for a node's token."""
    if not isinstance(g.bearer, Caller):
        raise NotAuthenticated(NO_NODE)
    return g.bearer


def require_unless(is_given: bool, action: Action) -> None:
    """Raises NotAllowed where the caller is not given it otherwise, and may not do that."""
    if not is_given:
        permissions.require(user(), action)


def user_or_guest() -> Caller | None:
    """The user, or None for an old game without a token; a route that has said `guests` may ask."""
    return user() if "bearer" in g else None


def node_id() -> UUID:
    """The node whose token the request carries. Raises NotAuthenticated, also for a user's token."""
    if not isinstance(g.bearer, tokens.Machine):
        raise NotAuthenticated(NO_USER)
    return g.bearer.node_id


def owner_of(row: Any) -> Owner:
    """Whose a job is."""
    return owners_of([row])[row.run_id]


def owners_of(rows: list[Any]) -> dict[UUID, Owner]:
    """Whose each of some jobs is, by run_id; the caller himself and his team cost no query."""
    who, ids, team_ids = user(), {row.owner_id for row in rows}, {row.team_id for row in rows}
    names = {who.user_id: who.name} | (queries.user_names(ids) if ids - {who.user_id} else {})
    teams = {who.team_id: who.team} | (queries.team_names(team_ids) if team_ids - {who.team_id} else {})
    return {row.run_id: Owner(row.owner_id, names[row.owner_id], teams[row.team_id]) for row in rows}


def _actor() -> audit.Actor:
    """For the audit: whose token it is, and the address that the request comes from."""
    its, address = g.bearer, request.remote_addr or "unknown"
    if isinstance(its, Caller):
        return audit.Actor("user", its.name, address, its.user_id, its.token, its.token_id)
    return audit.Actor("node", its.name, address, its.node_id)


def _is_guest() -> bool:
    """Old games send neither a token nor any parameter."""
    is_served = parts(current_app).config.serve_games_without_token
    return is_served and "Authorization" not in request.headers and not request.args


def _is_of_this_machine() -> bool:
    """Never what came by a proxy, even if the proxy is of this machine."""
    address = address_of(request.remote_addr or "")
    return address is not None and not request.environ[CAME_BY_PROXY] and address.is_loopback
