"""Signs of life of a service, so that a pause of ours is never taken for the silence of a node."""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert

from .extensions import db
from .models import Pulse

GAP = timedelta(seconds=15)
"""A service that was not seen for so long was away."""


def beat(service: str) -> None:
    """The service is there; after a gap it counts as there since now."""
    was_away = Pulse.last_seen_at < func.now() - GAP
    pulse = insert(Pulse).values(service=service)
    db.session.execute(
        pulse.on_conflict_do_update(
            index_elements=[Pulse.service],
            set_={"alive_since": case((was_away, func.now()), else_=Pulse.alive_since), "last_seen_at": func.now()},
        )
    )
    db.session.commit()


def alive_since(service: str) -> datetime | None:
    """Since when without a gap; None when it is away now."""
    is_here = Pulse.last_seen_at >= func.now() - GAP
    return db.session.scalar(select(Pulse.alive_since).where(Pulse.service == service, is_here))
