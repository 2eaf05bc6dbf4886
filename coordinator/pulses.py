"""Signs of life of our own programs, so that a pause of ours is never taken for the silence of a node.

A lease of 20 s is renewed every 2 s. The web beats every second in which it answers at its own door. An outage in which
it misses its beats for 8 s is an absence, after which leases begin to count anew. A shorter one is none, and needs not
be: the last heartbeat before it came 2 s before, or 7 s where one was lost in a connection that hung, so 5 s of the
lease are left or more, in which a node tries again. A node that is gone is noticed 18 to 20 s later, and a sweep
(SWEEP_SECONDS) after that.
"""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert

from .extensions import db
from .models import Pulse

BEAT_SECONDS = 1.0
GAP_PER_LEASE = 0.4
GAP = timedelta(seconds=8)
"""A program that was not seen for so long was away."""
WEB, RECORDER = "web", "recorder"
RECORDER_GAP = timedelta(seconds=30)
"""Facts wait for minutes, so the recorder, which beats between its batches, may be busy for longer."""


def gap_of(lease_seconds: float) -> timedelta:
    """The longest outage that leaves every node time enough to renew a lease of that length."""
    return timedelta(seconds=GAP_PER_LEASE * lease_seconds)


def beat(service: str, gap: timedelta = GAP) -> None:
    """The service is there; after a gap it counts as there since now."""
    was_away = Pulse.last_seen_at < func.now() - gap
    pulse = insert(Pulse).values(service=service)
    db.session.execute(
        pulse.on_conflict_do_update(
            index_elements=[Pulse.service],
            set_={"alive_since": case((was_away, func.now()), else_=Pulse.alive_since), "last_seen_at": func.now()},
        )
    )
    db.session.commit()


def alive_since(service: str, gap: timedelta = GAP) -> datetime | None:
    """Since when without a gap; None when it is away now."""
    is_here = Pulse.last_seen_at >= func.now() - gap
    return db.session.scalar(select(Pulse.alive_since).where(Pulse.service == service, is_here))


def was_seen_after(service: str, moment: datetime) -> bool:
    """Whether it has beaten since that moment of PostgreSQL's clock."""
    its = (Pulse.service == service, Pulse.last_seen_at > moment)
    is_later = db.session.scalar(select(Pulse.service).where(*its)) is not None
    db.session.commit()
    return is_later
