"""The audit as it is read, page by page or as a whole, and as it is forgotten in the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select, text

from . import audit, pages
from .audit import Audited
from .extensions import db
from .models import AuditEntry, Team

DAY = timedelta(days=1)
AT_ONCE = 1_000
"""Entries in memory, of an export of any length."""
FORGOTTEN_AT_ONCE = 20_000
ORDERS: pages.Columns = {"at": (AuditEntry.at, AuditEntry.id)}


@dataclass(frozen=True, slots=True)
class Which:
    """Of all entries, those of which all that is said here is true."""

    team_id: UUID | None = None
    """None: of all teams, and what belongs to none."""
    of: str | None = None
    """A run_id, a token's id, a name, env_id@version."""
    actions: set[str] | None = None
    """Words of Audited, or what stands before their dots."""
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(which: Which, asked: pages.Asked) -> pages.Page[Any]:
    """Entries, each with the name of its team."""
    return pages.of_query(_wanted(which), ORDERS, asked)


def all_of(which: Which, order: str = "at") -> Iterator[Any]:
    """The same, all that there are; no connection is kept while whoever reads takes his time."""
    cursor: str | None = None
    while True:
        found = page(which, pages.Asked(order, AT_ONCE, cursor))
        db.session.expunge_all()
        db.session.rollback()
        yield from found.rows
        if (cursor := found.cursor) is None:
            return


def _wanted(which: Which) -> Select[AuditEntry, str]:
    wanted = select(AuditEntry, Team.name).outerjoin(Team, Team.id == AuditEntry.team_id)
    conditions: list[ColumnElement[bool] | None] = [
        AuditEntry.team_id == which.team_id if which.team_id else None,
        AuditEntry.object == which.of if which.of else None,
        AuditEntry.action.in_(_meant(which.actions)) if which.actions else None,
        AuditEntry.actor == which.actor if which.actor else None,
        AuditEntry.at >= which.since if which.since else None,
        AuditEntry.at < which.until if which.until else None,
    ]
    return wanted.where(*[it for it in conditions if it is not None])


def _meant(words: set[str]) -> list[str]:
    return [it for it in Audited if it in words or it.partition(".")[0] in words]


_ALLOWED = text("SELECT set_config('train_jobs.audit_retention', 'on', true)")
"""Until the transaction ends; without it the table's trigger refuses."""


def drop_old(days: int) -> None:
    """Forgets what is older than so many days; 0: nothing. Begins once a day, so that few entries tell of it."""
    if not days or not _is_due(days):
        return
    db.session.execute(_ALLOWED)
    old = select(AuditEntry.id).where(AuditEntry.at < func.now() - days * DAY)
    found = db.session.scalars(old.order_by(AuditEntry.at, AuditEntry.id).limit(FORGOTTEN_AT_ONCE)).all()
    db.session.execute(delete(AuditEntry).where(AuditEntry.id.in_(found)))
    reason = f"They were older than AUDIT_DAYS, {days} days."
    audit.note(Audited.AUDIT_DROPPED, "audit", reason=reason, entries=len(found))
    db.session.commit()


def _is_due(days: int) -> bool:
    oldest = db.session.scalar(select(func.min(AuditEntry.at) < func.now() - (days + 1) * DAY))
    db.session.commit()
    return bool(oldest)
