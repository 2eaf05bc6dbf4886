"""How long a job may train: what it asks for, within the operator's bound, and what its attempts have left of that."""

from sqlalchemy import func, select

from ..errors import BadRequest
from ..extensions import db
from ..models import Attempt, Job


def granted(asked: int | None, most: int) -> int | None:
    """Seconds. `most` is the bound, and what a job gets that asks for nothing; 0: none. Raises BadRequest."""
    if asked and most and asked > most:
        raise BadRequest(f"time_limit: A job may train for at most {most} s here, not {asked}.")
    return asked or most or None


def left(job: Job, number: int) -> float | None:
    """Seconds for that attempt: all time counts for which earlier ones of the same request had a node. May be less than
    nothing; None: without end."""
    if job.time_limit is None:
        return None
    held = select(func.sum(func.extract("epoch", Attempt.ended_at - Attempt.claimed_at)))
    earlier = (Attempt.run_id == job.run_id, Attempt.number >= job.first_attempt, Attempt.number < number)
    return job.time_limit - float(db.session.scalar(held.where(*earlier)) or 0)
