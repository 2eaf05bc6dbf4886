"""Commands on tokens, for those who may: make, list, revoke."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, true

from .. import audit, permissions
from ..audit import Audited
from ..errors import NotFound
from ..extensions import db
from ..models import Node, Team, Token, User
from ..permissions import Action, Caller
from . import tokens


class Listed(NamedTuple):
    """A token with the names of whom it speaks for and where; `team` is None for a node's."""

    row: Token
    bearer: str
    team: str | None


def expiry(days: int | None) -> datetime | None:
    """When something that lasts so many days ends; None: never."""
    return datetime.now(UTC) + timedelta(days=days) if days else None


def listed(*, user_id: UUID | None = None, team_id: UUID | None = None) -> list[Listed]:
    """Of a user, of a team, or all; newest first, without those that were revoked."""
    wanted = select(Token, func.coalesce(User.name, Node.name), Team.name).select_from(Token)
    wanted = wanted.outerjoin(User, User.id == Token.user_id).outerjoin(Node, Node.id == Token.node_id)
    wanted = wanted.outerjoin(Team, Team.id == Token.team_id)
    wanted = wanted.where(
        Token.user_id == user_id if user_id else true(), Token.team_id == team_id if team_id else true(),
        Token.revoked_at.is_(None),
    )  # fmt: skip
    return [Listed(*row) for row in db.session.execute(wanted.order_by(Token.created_at.desc()))]


def revoke(token_id: UUID) -> Token:
    """The token is good for nothing any more; other processes know within two seconds. Raises NotFound."""
    token = db.session.get(Token, token_id)
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    if token.revoked_at is None:
        token.revoked_at = func.now()
        audit.note(Audited.TOKEN_REVOKED, token.id, token.team_id, name=token.name)
    db.session.commit()
    tokens.forget()
    return token


def revoke_as(who: Caller, token_id: UUID) -> None:
    """The same for a token that the caller may revoke: one of his own that his token reaches, or one of his team's.

    Raises NotFound for any other.
    """
    token = db.session.get(Token, token_id)
    if token is None or not _may_revoke(who, token):
        raise NotFound(f"There is no token {token_id} among yours.")
    revoke(token_id)


def _may_revoke(who: Caller, token: Token) -> bool:
    is_own = token.user_id == who.user_id and (token.team_id == who.team_id or who.is_the_users_key)
    return is_own or permissions.may(who, Action.MANAGE_TEAM, token.team_id or _NO_TEAM)


_NO_TEAM = UUID(int=0)
"""Of a node's token: an operator's affair."""
