"""How users, tokens and teams look to clients."""

from datetime import datetime

from ..accounts.teams import Membership
from ..models import Token, User
from ..permissions import Caller
from .forms.people import Me, MemberForm, OwnToken, TeamForm, TokenForm, UserForm


def caller(who: Caller) -> Me:
    """A user, as the token that he sends presents him."""
    its: OwnToken = {"id": str(who.token_id) if who.token_id else None, "name": who.token, "scope": who.scope,
                     "expires_at": _moment(who.expires_at)}  # fmt: skip
    return {"id": str(who.user_id), "name": who.name, "is_operator": who.is_operator, "team": who.team,
            "role": who.role, "token": its}  # fmt: skip


def token(row: Token, bearer: str, team: str | None) -> TokenForm:
    """A token without its text, which nobody knows."""
    return {"id": str(row.id), "name": row.name, "user": bearer, "team": team, "scope": row.scope,
            "created_at": row.created_at.isoformat(), "expires_at": _moment(row.expires_at),
            "last_used_at": _moment(row.last_used_at)}  # fmt: skip


def user(row: User, last_seen_at: datetime | None) -> UserForm:
    """A user, for operators."""
    return {"id": str(row.id), "name": row.name, "is_operator": row.is_operator, "issuer": row.issuer,
            "subject": row.subject, "created_at": row.created_at.isoformat(), "last_seen_at": _moment(last_seen_at),
            "disabled_at": _moment(row.disabled_at)}  # fmt: skip


def team(its: Membership) -> TeamForm:
    """A team, and what one of its users is in it."""
    return {"name": its.team, "role": its.role, "is_personal": its.is_personal}


def member(its: Membership) -> MemberForm:
    """Somebody in a team."""
    return {"user": its.user, "role": its.role, "since": its.since.isoformat(), "issuer": its.issuer}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
