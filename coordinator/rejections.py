"""Messages that nobody could use: kept, counted, shown to whoever runs the platform."""

from sqlalchemy import delete, select

from wire.rejected import Rejected

from .extensions import db
from .models import RejectedCount, RejectedMessage
from .pipeline import record

KEPT = 10_000


def set_aside(*rejected: Rejected) -> None:
    """Keeps them for good."""
    for it in rejected:
        record.reject(it.source, it.reason, it.body)
    db.session.commit()


def newest(limit: int) -> list[RejectedMessage]:
    """The newest first."""
    return list(db.session.scalars(select(RejectedMessage).order_by(RejectedMessage.id.desc()).limit(limit)))


def counts() -> list[RejectedCount]:
    """How many there were from each source, since the platform was set up."""
    return list(db.session.scalars(select(RejectedCount).order_by(RejectedCount.source)))


def drop_old() -> None:
    """All but the newest; what is dropped stays counted."""
    last = select(RejectedMessage.id).order_by(RejectedMessage.id.desc()).offset(KEPT).limit(1).scalar_subquery()
    db.session.execute(delete(RejectedMessage).where(RejectedMessage.id <= last))
    db.session.commit()
