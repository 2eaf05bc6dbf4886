"""Users: each comes with a team of his own, where he is alone and the owner."""

import re
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from wire.log_lines import HALF, HOSTILE

from . import audit
from .audit import Audited
from .errors import BadRequest, Conflict, NotFound
from .extensions import db
from .models import Member, Team, User
from .permissions import Role

NAME = re.compile(f"[^{HOSTILE}{HALF}/]{{1,200}}")


def made(name: str) -> User:
    """The user of that name, made with his own team where there is none yet. Raises BadRequest and Conflict."""
    if user := db.session.scalars(select(User).where(User.name == name)).first():
        return user
    check_name(name)
    if db.session.execute(insert(User).values(name=name).on_conflict_do_nothing().returning(User.id)).first():
        audit.note(Audited.USER_MADE, name)
    user = db.session.scalars(select(User).where(User.name == name)).one()
    _give_team(user)
    db.session.commit()
    return user


def make_operator(user: User, is_operator: bool) -> None:
    """Says whether the user runs the installation."""
    if user.is_operator != is_operator:
        user.is_operator = is_operator
        audit.note(Audited.USER_CHANGED, user.name, is_operator=is_operator)
    db.session.commit()


def named(name: str) -> User:
    """Raises NotFound."""
    if user := db.session.scalars(select(User).where(User.name == name)).first():
        return user
    raise NotFound(f"There is no user {name!r}.")


def everybody() -> list[User]:
    """By name."""
    return list(db.session.scalars(select(User).order_by(User.name)))


def personal_team(user_id: UUID) -> Team:
    """The one that came with the user."""
    return db.session.scalars(select(Team).where(Team.personal_of == user_id)).one()


def check_name(name: str) -> None:
    """Of a user or a team. Raises BadRequest."""
    if not NAME.fullmatch(name):
        raise BadRequest("A name has 1 to 200 characters, and neither '/' nor control characters among them.")


def _give_team(user: User) -> None:
    team = insert(Team).values(name=user.name, personal_of=user.id).on_conflict_do_nothing(index_elements=["name"])
    db.session.execute(team)
    mine = db.session.scalars(select(Team).where(Team.name == user.name)).one()
    if mine.personal_of != user.id:
        db.session.rollback()
        raise Conflict(f"There is a team {mine.name!r} already; a user cannot have a team's name.")
    db.session.execute(
        insert(Member).values(team_id=mine.id, user_id=user.id, role=Role.OWNER).on_conflict_do_nothing()
    )
