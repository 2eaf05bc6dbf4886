"""The audit as it is read, exported, and in the end forgotten."""

from datetime import timedelta

from sqlalchemy import delete, func, select, text

from . import audit
from .audit import Audited
from .extensions import db
from .models import AuditEntry

DAY = timedelta(days=1)
AT_ONCE = 20_000
_ALLOWED = text("SELECT set_config('train_jobs.audit_retention', 'on', true)")
"""Until the transaction ends; without it the table's trigger refuses."""


def drop_old(days: int) -> None:
    """Forgets what is older than so many days; 0: nothing. Begins once a day, so that few entries tell of it."""
    if not days or not _is_due(days):
        return
    db.session.execute(_ALLOWED)
    old = select(AuditEntry.id).where(AuditEntry.at < func.now() - days * DAY).order_by(AuditEntry.at, AuditEntry.id)
    found = db.session.scalars(old.limit(AT_ONCE)).all()
    db.session.execute(delete(AuditEntry).where(AuditEntry.id.in_(found)))
    audit.note(
        Audited.AUDIT_DROPPED, "audit", reason=f"They were older than AUDIT_DAYS, {days} days.", entries=len(found)
    )
    db.session.commit()


def _is_due(days: int) -> bool:
    oldest = db.session.scalar(select(func.min(AuditEntry.at) < func.now() - (days + 1) * DAY))
    db.session.commit()
    return bool(oldest)
