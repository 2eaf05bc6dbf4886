"""Bearer tokens: made once, shown once, kept as a digest; who a token speaks for, as it was known a moment ago."""

import hashlib
import secrets
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, and_, func, select, update

from .. import audit
from ..audit import Audited
from ..errors import NotAuthenticated, NotFound
from ..extensions import db
from ..models import Member, Node, Team, Token, User
from ..permissions import Caller, Role, Scope
from . import users

NO_TOKEN = "This needs a token. Send it as 'Authorization: Bearer <token>'."  # noqa: S105
WRONG_TOKEN = "This token is not known here, or it has been revoked. Ask the operator for a new one."  # noqa: S105
EXPIRED = "This token has expired. Make a new one, or ask the operator for one."
DISABLED = "This user has been disabled by the operator."
NO_MEMBER = "This token is for a team that its user is no longer in."


KNOWN_SECONDS = 2.0
"""A busy game's token is not looked up again for so long; a revoked one stops working as soon."""
MOST_KNOWN = 10_000
USE_NOTED = timedelta(minutes=1)
"""A use is written down when the last one that was is so long ago."""
_known: dict[Hashable, tuple[float, "Bearer"]] = {}


@dataclass(frozen=True, slots=True)
class Machine:
    """A training node, as its token presents it."""

    node_id: UUID
    name: str


Bearer = Caller | Machine


def create_for_user(user_name: str, team: Team | None = None, **about: Any) -> str:
    """A new token of a user, who is made where there is none of that name; for his own team when none is said.

    `about` is what else the token has: name, scope, expires_at, is_local. Raises NotFound where he is not in the team.
    """
    user = users.made(user_name)
    team = team or users.personal_team(user.id)
    if db.session.get(Member, (team.id, user.id)) is None:
        raise NotFound(f"User {user_name!r} is not in team {team.name!r}.")
    return store(Token(user_id=user.id, team_id=team.id, **about))


def store(token: Token) -> str:
    """Stores a token and returns its text, which nobody can find out again."""
    secret = f"tj_{secrets.token_urlsafe(32)}"
    token.digest, token.id = digest_of(secret), uuid4()
    db.session.add(token)
    db.session.flush()
    audit.note(Audited.TOKEN_MADE, token.id, token.team_id, **_about(token))
    db.session.commit()
    return secret


def _about(token: Token) -> dict[str, Any]:
    """For the audit: whom it speaks for, and how far."""
    ends = token.expires_at.isoformat() if token.expires_at else None
    if token.node_id:
        return {"node": db.session.get_one(Node, token.node_id).name, "expires_at": ends}
    return {"user": db.session.get_one(User, token.user_id).name, "name": token.name, "scope": token.scope,
            "expires_at": ends, "is_local": token.is_local}  # fmt: skip


def of_header(authorization: str | None) -> str:
    """The token in this Authorization header. Raises NotAuthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(NO_TOKEN)
    return token.strip()


def bearer_of(digest: bytes) -> Bearer:
    """Who the token with this digest speaks for, as it was known at most two seconds ago. Raises NotAuthenticated."""
    return remembered(digest, lambda: _look_up(digest))


def remembered(shown: Hashable, look_up: Callable[[], tuple[Bearer, float]]) -> Bearer:
    """Who it is that shows this. `look_up` says it, and for how many seconds that may be believed."""
    now = time.monotonic()
    known = _known.get(shown)
    if known and now < known[0]:
        return known[1]
    found, seconds = look_up()
    if len(_known) >= MOST_KNOWN:
        _known.clear()
    _known[shown] = (now + seconds, found)
    return found


def was_good(digest: bytes) -> bool:
    """Whether it was, when it was last looked up here: it may have been revoked since."""
    return digest in _known


def forget() -> None:
    """What a token may do has just been changed by this process: it knows none any more."""
    _known.clear()


def digest_of(token: str) -> bytes:
    """A plain hash will do: the token itself has 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


_OF_DIGEST = (
    select(
        Token.id, Token.name.label("token"), Token.scope, Token.is_local, Token.revoked_at, Token.expires_at,
        func.extract("epoch", Token.expires_at - func.now()).label("seconds_left"),
        func.coalesce(Token.last_used_at < func.now() - USE_NOTED, True).label("use_is_news"),
        Token.user_id, User.name.label("user"), User.is_operator, User.disabled_at,
        Token.node_id, Node.name.label("node"), Token.team_id, Team.name.label("team"), Team.personal_of, Member.role,
    )
    .outerjoin(User, User.id == Token.user_id)
    .outerjoin(Node, Node.id == Token.node_id)
    .outerjoin(Team, Team.id == Token.team_id)
    .outerjoin(Member, and_(Member.team_id == Token.team_id, Member.user_id == Token.user_id))
)  # fmt: skip


def _look_up(digest: bytes) -> tuple[Bearer, float]:
    """Who it is, and for how many seconds that may be believed. One query; once a minute it also notes the use."""
    with db.engine.begin() as connection:  # given back at once: what follows may want a connection of its own
        row = connection.execute(_OF_DIGEST.where(Token.digest == digest)).first()
        if row is None or row.revoked_at is not None:
            raise NotAuthenticated(WRONG_TOKEN)
        seconds = KNOWN_SECONDS if row.seconds_left is None else min(KNOWN_SECONDS, float(row.seconds_left))
        if seconds < 0:
            raise NotAuthenticated(EXPIRED)
        bearer = Machine(row.node_id, row.node) if row.node_id else _caller(row)
        if row.use_is_news:
            connection.execute(update(Token).where(Token.id == row.id).values(last_used_at=func.now()))
    return bearer, seconds


def _caller(row: Row[*tuple[Any, ...]]) -> Caller:
    if row.disabled_at is not None:
        raise NotAuthenticated(DISABLED)
    if row.role is None:
        raise NotAuthenticated(NO_MEMBER)
    is_personal = row.personal_of is not None
    is_operator = row.is_operator and is_personal  # his token for another team reaches that one only, as anybody's does
    return Caller(
        row.user_id, row.user, row.team_id, row.team, Role(row.role), Scope(row.scope), is_operator,
        is_personal, row.is_local, row.id, row.token, row.expires_at,
    )  # fmt: skip
