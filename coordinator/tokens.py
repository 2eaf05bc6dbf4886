"""Bearer tokens: made once, shown once, kept as a digest."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from .errors import NotAuthenticated
from .extensions import db
from .models import Node, Token, User

NO_TOKEN = "This needs a token. Send it as 'Authorization: Bearer <token>'."  # noqa: S105
WRONG_TOKEN = "This token is not known here, or it has been revoked. Ask the operator for a new one."  # noqa: S105


KNOWN_SECONDS = 2.0
"""A busy game's token is not looked up again for so long; a revoked one stops working as soon."""
MOST_KNOWN = 10_000
_known: dict[bytes, tuple[float, "Caller"]] = {}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for: a user or a node, so exactly one of the two ids is set."""

    user_id: UUID | None
    node_id: UUID | None
    name: str


def create_for_user(name: str) -> str:
    """A new token of a user, who is made where there is none of that name."""
    db.session.execute(insert(User).values(name=name).on_conflict_do_nothing())
    user = db.session.scalars(select(User).where(User.name == name)).one()
    return _create(Token(user_id=user.id))


def create_for_node(name: str) -> str:
    """A new token of a training node, which is made where there is none of that name."""
    db.session.execute(insert(Node).values(name=name).on_conflict_do_nothing())
    node = db.session.scalars(select(Node).where(Node.name == name)).one()
    return _create(Token(node_id=node.id))


def caller(authorization: str | None) -> Caller:
    """Who sends this Authorization header. Raises NotAuthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(NO_TOKEN)
    return caller_of(token.strip())


def caller_of(token: str) -> Caller:
    """Who this token speaks for, as it was known at most two seconds ago. Raises NotAuthenticated."""
    digest = _digest(token)
    now = time.monotonic()
    known = _known.get(digest)
    if known and now < known[0]:
        return known[1]
    found = _look_up(digest)
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[digest] = (now + KNOWN_SECONDS, found)
    return found


def _look_up(digest: bytes) -> Caller:
    row = db.session.execute(
        select(Token.user_id, Token.node_id, func.coalesce(User.name, Node.name).label("name"))
        .outerjoin(User)
        .outerjoin(Node)
        .where(Token.digest == digest, Token.revoked_at.is_(None))
    ).first()
    if row is None:
        raise NotAuthenticated(WRONG_TOKEN)
    return Caller(row.user_id, row.node_id, row.name)


def _create(token: Token) -> str:
    secret = f"tj_{secrets.token_urlsafe(32)}"
    token.digest = _digest(secret)
    db.session.add(token)
    db.session.commit()
    return secret


def _digest(token: str) -> bytes:
    """A plain hash will do: the token itself has 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
