"""Reads what is kept of the logs of trainers and environments."""

from uuid import UUID

from sqlalchemy import select, tuple_

from . import messages
from .extensions import db
from .models import Attempt, Job, LogPiece

PAGE = 50
Place = tuple[int, int]
"""(attempt, n)"""


def after(run_id: UUID, place: Place) -> list[tuple[Place, str]]:
    """The next pieces after that place, each as a message, in order."""
    wanted = select(LogPiece).where(LogPiece.run_id == run_id, tuple_(LogPiece.attempt, LogPiece.n) > place)
    found = db.session.scalars(wanted.order_by(LogPiece.attempt, LogPiece.n).limit(PAGE))
    return [((it.attempt, it.n), messages.log(it.attempt, it.n, it.source, it.text)) for it in found]


def newest(run_ids: list[UUID]) -> dict[UUID, Place]:
    """Where the log of each job's current attempt ends."""
    wanted = select(Attempt.run_id, Attempt.number, Attempt.logs_recorded).join(Job, Job.run_id == Attempt.run_id)
    wanted = wanted.where(Attempt.run_id.in_(run_ids), Attempt.number == Job.attempt, Attempt.logs_recorded > 0)
    return {run_id: (number, n) for run_id, number, n in db.session.execute(wanted)}


def text(run_id: UUID, attempt: int, source: str | None) -> str:
    """The log of an attempt, of both sources as they came or of one."""
    wanted = select(LogPiece.text).where(LogPiece.run_id == run_id, LogPiece.attempt == attempt)
    if source is not None:
        wanted = wanted.where(LogPiece.source == source)
    return "".join(db.session.scalars(wanted.order_by(LogPiece.n)))
