"""Jobs as lists have them: whose, which of those, in which order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import defer

from . import pages
from .models import Job, User
from .permissions import Caller

ORDERS: pages.Columns = {"created_at": (Job.created_at, Job.run_id)}


@dataclass(frozen=True, slots=True)
class Which:
    """Of all jobs, those of which all that is said here is true."""

    states: set[str] | None = None
    env_id: str | None = None
    """A name means all versions of it, name@version what asked for that one."""
    behaviour: str | None = None
    created_by: str | None = None
    """A user's name or id."""
    since: datetime | None = None
    until: datetime | None = None


def of_user(who: Caller, which: Which, asked: pages.Asked) -> pages.Page[Job]:
    """The caller's own, in the team of his token."""
    return _page([Job.owner_id == who.user_id, Job.team_id == who.team_id], which, asked)


def of_team(team_id: UUID, which: Which, asked: pages.Asked) -> pages.Page[Job]:
    """Of everybody in it."""
    return _page([Job.team_id == team_id], which, asked)


def _page(whose: list[ColumnElement[bool]], which: Which, asked: pages.Asked) -> pages.Page[Job]:
    wanted = select(Job).where(*whose, *_conditions(which), Job.deleted_at.is_(None))
    found = pages.of_query(wanted.options(defer(Job.log_tail)), ORDERS, asked)
    return pages.Page([row[0] for row in found.rows], found.cursor)


def _conditions(which: Which) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool] | None] = [
        Job.state.in_(which.states) if which.states is not None else None,
        _of_environment(which.env_id) if which.env_id else None,
        Job.behaviour == which.behaviour if which.behaviour else None,
        Job.owner_id.in_(_users(which.created_by)) if which.created_by else None,
        Job.created_at >= which.since if which.since else None,
        Job.created_at < which.until if which.until else None,
    ]
    return [it for it in conditions if it is not None]


def _of_environment(env_id: str) -> ColumnElement[bool]:
    return or_(Job.env_id == env_id, Job.env_id.startswith(f"{env_id}@", autoescape=True))


def _users(named: str) -> Any:
    """Ids of whoever is meant by a name or an id."""
    try:
        return [UUID(named)]
    except ValueError:
        return select(User.id).where(User.name == named)
