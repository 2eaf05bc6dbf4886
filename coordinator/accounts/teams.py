"""Teams and who is in them. A user's own team has no other members, and every other one keeps an owner."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from .. import audit, permissions
from ..audit import Audited
from ..errors import Conflict, NotFound
from ..extensions import db
from ..models import Member, Team, Token, User
from ..permissions import Action, Caller, Role
from . import tokens, users

NO_TEAM = "There is no team {!r} among yours."


@dataclass(frozen=True, slots=True)
class Membership:
    """A user in a team, by names."""

    team: str
    user: str
    role: str
    is_personal: bool
    since: datetime
    issuer: str | None
    """Who signs the user in, if not we ourselves: then his name is his own choice."""


def created(name: str, owner: User) -> Team:
    """A new team with its first owner. Raises Conflict where the name is taken, by a user or a team."""
    users.check_name(name)
    team = Team(name=name)
    taken = select(User.id).where(User.name == name).union(select(Team.id).where(Team.name == name))
    if db.session.execute(taken).first():
        raise Conflict(f"The name {name!r} is taken by a user or a team.")
    db.session.add(team)
    db.session.flush()
    db.session.add(Member(team_id=team.id, user_id=owner.id, role=Role.OWNER))
    audit.note(Audited.TEAM_MADE, name, team.id, owner=owner.name)
    db.session.commit()
    return team


def named(name: str) -> Team:
    """Raises NotFound."""
    if team := db.session.scalars(select(Team).where(Team.name == name)).first():
        return team
    raise NotFound(f"There is no team {name!r}.")


def acting_in(who: Caller, name: str, action: Action) -> Caller:
    """The caller as he is in the team of that name, where he may do that.

    Raises NotFound for a team that his token does not reach, which looks like one that does not exist, and NotAllowed.
    """
    found = db.session.execute(
        select(Team.id, Team.personal_of, Member.role)
        .outerjoin(Member, (Member.team_id == Team.id) & (Member.user_id == who.user_id))
        .where(Team.name == name)
    ).first()
    reaches = found and (found.id == who.team_id or (who.is_the_users_key and found.role) or who.is_operator)
    if found is None or not reaches:
        raise NotFound(NO_TEAM.format(name))
    role = Role(found.role) if found.role else Role.VIEWER  # an operator who is not in it
    there = replace(who, team_id=found.id, team=name, role=role, is_personal=found.personal_of is not None)
    permissions.require(there, action, found.id)
    return there


def require_member(there: Caller) -> None:
    """An operator acts in teams in which he is not; no token of his could be good there. Raises Conflict."""
    if db.session.get(Member, (there.team_id, there.user_id)) is None:
        raise Conflict(f"You are not in team {there.team!r}, and a token speaks for a member: join it first.")


def put(team_id: UUID, user: User, role: Role) -> None:
    """The user is in the team with that role from now on. Raises Conflict."""
    _lock(team_id)
    if role is not Role.OWNER:
        _check_owner_stays(team_id, user)
    row = insert(Member).values(team_id=team_id, user_id=user.id, role=role)
    changed = row.on_conflict_do_update(index_elements=["team_id", "user_id"], set_={"role": role})
    db.session.execute(changed)
    audit.note(Audited.MEMBER_PUT, user.name, team_id, role=role)
    db.session.commit()
    tokens.forget()


def remove(team_id: UUID, user: User) -> None:
    """The user is not in the team any more, and his tokens for it are revoked. Raises Conflict and NotFound."""
    _lock(team_id)
    _check_owner_stays(team_id, user)
    mine = (Member.team_id == team_id, Member.user_id == user.id)
    if db.session.execute(delete(Member).where(*mine).returning(Member.user_id)).first() is None:
        raise NotFound(f"User {user.name!r} is not in the team.")
    his = (Token.team_id == team_id, Token.user_id == user.id, Token.revoked_at.is_(None))
    audit.note(Audited.MEMBER_REMOVED, user.name, team_id)
    revoked = update(Token).where(*his).values(revoked_at=func.now()).returning(Token.id, Token.name)
    for token_id, name in db.session.execute(revoked).all():
        audit.note(Audited.TOKEN_REVOKED, token_id, team_id, reason=f"{user.name} left the team.", name=name)
    db.session.commit()
    tokens.forget()


def memberships(*, team_id: UUID | None = None, user_id: UUID | None = None) -> list[Membership]:
    """Of a team, of a user, or all."""
    wanted = select(Team.name, User.name.label("user"), Member.role, Team.personal_of, Member.created_at,
                    User.issuer)  # fmt: skip
    wanted = wanted.join(Member, Member.team_id == Team.id).join(User, User.id == Member.user_id)
    if team_id:
        wanted = wanted.where(Team.id == team_id)
    if user_id:
        wanted = wanted.where(User.id == user_id)
    rows = db.session.execute(wanted.order_by(Team.name, User.name))
    return [Membership(row.name, row.user, row.role, row.personal_of is not None, row.created_at, row.issuer)
            for row in rows]  # fmt: skip


def _lock(team_id: UUID) -> None:
    """Until the transaction ends nobody else changes who is in it. Raises Conflict for a user's own team."""
    team = db.session.scalars(select(Team).where(Team.id == team_id).with_for_update()).one()
    if team.personal_of is not None:
        raise Conflict(f"{team.name!r} is a user's own team: it has no other members. Ask the operator for a team.")


def _check_owner_stays(team_id: UUID, user: User) -> None:
    owners = select(Member.user_id).where(Member.team_id == team_id, Member.role == Role.OWNER)
    if db.session.scalars(owners).all() == [user.id]:
        raise Conflict(f"{user.name!r} is the team's only owner: make another one first.")
