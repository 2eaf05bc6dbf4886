"""Who calls: the token of a request as a user or a node."""

from dataclasses import dataclass
from uuid import UUID

from flask import request

from .. import tokens
from ..errors import NotAuthenticated


@dataclass(frozen=True, slots=True)
class Owner:
    """The user who calls."""

    id: UUID
    name: str


def user() -> Owner:
    """The user whose token the request carries. Raises NotAuthenticated, also for a node's token."""
    caller = tokens.caller(request.headers.get("Authorization"))
    if caller.user_id is None:
        raise NotAuthenticated("This is a training node's token; a user's token is needed here.")
    return Owner(caller.user_id, caller.name)


def node_id() -> UUID:
    """The node whose token the request carries. Raises NotAuthenticated, also for a user's token."""
    caller = tokens.caller(request.headers.get("Authorization"))
    if caller.node_id is None:
        raise NotAuthenticated("This is a user's token; a training node's token is needed here.")
    return caller.node_id


def user_id_or_guest(guests: bool) -> UUID | None:
    """The user's id, or None for a request without a token where guests (old games) are served."""
    if guests and "Authorization" not in request.headers:
        return None
    return user().id
