"""Users: each comes with a team of his own, where he is alone and the owner."""

import re
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert

from wire.log_lines import HALF, HOSTILE

from .. import audit, pages
from ..audit import Audited
from ..errors import BadRequest, Conflict, NotFound
from ..extensions import db
from ..models import Member, Team, Token, User
from ..permissions import Role


class Listed(NamedTuple):
    """A user, and when he was here last."""

    row: User
    last_seen_at: datetime | None


ORDERS: pages.Columns = {"name": (User.name,), "created_at": (User.created_at, User.id)}
NAME = re.compile(f"[^{HOSTILE}{HALF}/]{{1,200}}")


def made(name: str) -> User:
    """The user of that name, made with his own team where there is none yet. Raises BadRequest and Conflict.

    Nobody whom an issuer signs in is found: his name is his own choice, perhaps that of somebody who is awaited here.
    """
    user = db.session.scalars(select(User).where(User.name == name)).first() or _make(name)
    if user.issuer is not None:
        raise Conflict(f"The user {name!r} is signed in by {user.issuer!r}. Choose another name.")
    return user


def exists(name: str) -> bool:
    """Whether there is a user of that name, ours or an issuer's."""
    return db.session.scalar(select(User.id).where(User.name == name)) is not None


def named(name: str) -> User:
    """Raises NotFound."""
    if user := db.session.scalars(select(User).where(User.name == name)).first():
        return user
    raise NotFound(f"There is no user {name!r}.")


def everybody() -> list[Listed]:
    """By name."""
    return [Listed(*row) for row in db.session.execute(_listed().order_by(User.name))]


def page(asked: pages.Asked) -> pages.Page[Listed]:
    """Some of them."""
    found = pages.of_query(_listed(), ORDERS, asked)
    return pages.Page([Listed(*row) for row in found.rows], found.cursor)


def personal_team(user_id: UUID) -> Team:
    """The one that came with the user."""
    return db.session.scalars(select(Team).where(Team.personal_of == user_id)).one()


def check_name(name: str) -> None:
    """Of a user or a team, which stands in addresses and which people tell from others. Raises BadRequest."""
    is_seen = name.isprintable() and name == name.strip() and name.strip(".")
    if not NAME.fullmatch(name) or not is_seen:
        raise BadRequest(
            "A name has 1 to 200 characters that can be seen, and neither '/' nor control characters among them. It "
            "does not begin or end with a space, and is not of dots alone."
        )


def _listed() -> Select[User, datetime | None]:
    used = select(func.max(Token.last_used_at)).where(Token.user_id == User.id).scalar_subquery()
    return select(User, func.greatest(User.last_seen_at, used))


def _make(name: str) -> User:
    """Another request may be making him at the same time."""
    check_name(name)
    if db.session.execute(insert(User).values(name=name).on_conflict_do_nothing().returning(User.id)).first():
        audit.note(Audited.USER_MADE, name)
    user = db.session.scalars(select(User).where(User.name == name)).one()
    _give_team(user)
    db.session.commit()
    return user


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
