"""The only writer of a job's state. Each function works inside the caller's transaction, on rows it has locked.

Locking the job's row is what makes `seq` gapless: whoever numbers an event holds the lock until it commits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from wire.names import TASK_FINISH, TASK_TRAIN

from . import audit, messages
from .audit import Audited
from .extensions import db
from .lifecycle import Change, JobState, advance
from .models import Attempt, Event, Job, Outbox

OUTBOX_CHANNEL = "outbox"
"""PostgreSQL's NOTIFY channel that wakes the relay."""
RESEND_AFTER = timedelta(seconds=30)
"""A task that was sent so long ago and is not done may have been lost."""
RESEND_TRAINING_AFTER = timedelta(seconds=15)
"""The same for trainings, which are looked for in their queue before they are sent again."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event that was stored and is now to be told to whoever watches."""

    run_id: UUID
    seq: int
    final: bool
    frame: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Logged:
    """A piece of a log that was stored and is now to be told; `before` is the n of the piece before it (0: none)."""

    run_id: UUID
    attempt: int
    before: int
    n: int
    frame: str


def lock(run_id: UUID) -> Job | None:
    """The job, its row locked until the transaction ends."""
    return db.session.get(Job, run_id, with_for_update=True, populate_existing=True)


def lock_attempt(run_id: UUID, number: int) -> tuple[Job, Attempt] | None:
    """The job (locked) and one of its attempts, or None where there is no such attempt."""
    job = lock(run_id)
    attempt = db.session.get(Attempt, (run_id, number), populate_existing=True) if job else None
    return (job, attempt) if job and attempt else None


def change(job: Job, what: Change, error: str | None = None, reason: str | None = None) -> Told | None:
    """Moves a locked job on and stores the STATUS event; None where the change changes nothing. `reason` is for the
    audit alone, where it is no error of the job's."""
    state = advance(JobState(job.state), what)
    if state is None:
        return None
    asked = {"steps": job.steps} if what is Change.RESUMED else {}
    audit.note(Audited(f"job.{what}"), job.run_id, job.team_id, reason=error or reason, **{"from": job.state},
               to=state, attempt=job.attempt, **asked)  # fmt: skip
    job.state, job.error, job.updated_at = state, error, func.now()
    job.waiting_for = None
    return tell_status(job, state)


def tell_status(job: Job, state: JobState) -> Told:
    """Stores the STATUS event of a locked job under its next number."""
    job.last_seq += 1
    frame = messages.status(job.run_id, job.last_seq, job.attempt, state, job.error)
    told = Told(job.run_id, job.last_seq, state.is_final, frame, job.attempt)
    store([told])
    return told


def store(told: Iterable[Told]) -> None:
    """Stores numbered events; their jobs' rows are locked and their `last_seq` is moved on by the caller."""
    rows = [{"run_id": t.run_id, "seq": t.seq, "final": t.final, "frame": t.frame} for t in told]
    if rows:
        db.session.execute(insert(Event), rows)


def queue(task: str, job: Job, attempt: int) -> None:
    """A task that must reach the broker, as part of this transaction; the relay hears of it at the commit."""
    whose = {"owner_id": job.owner_id, "team_id": job.team_id, "queued_at": job.queued_at}
    its = {"task": task, "run_id": job.run_id, "attempt": attempt, "priority": job.priority, "queue": job.queue}
    db.session.execute(insert(Outbox).values(its | whose))
    wake_relay()


def done(task: str, run_id: UUID, attempt: int) -> datetime | None:
    """What the outbox asked for has been done. Returns when it was first sent; a training makes room for the next."""
    its = (Outbox.task == task, Outbox.run_id == run_id, Outbox.attempt == attempt)
    if task == TASK_TRAIN:
        wake_relay()
    return db.session.scalar(delete(Outbox).where(*its).returning(Outbox.first_sent_at))


def wake_relay() -> None:
    """Once this transaction has ended there is something to send, or room for it."""
    db.session.execute(select(func.pg_notify(OUTBOX_CHANNEL, "")))


def send_again(task: str, run_id: UUID, attempt: int, after: timedelta) -> None:
    """A training that was sent has come to nobody who could do it: the sweeper sends it once more, in a while."""
    row = update(Outbox).where(Outbox.task == task, Outbox.run_id == run_id, Outbox.attempt == attempt)
    db.session.execute(row.values(sent_at=func.now() - RESEND_TRAINING_AFTER + after))


def next_attempt(job: Job, what: Change, reason: str | None = None) -> Told | None:
    """Queues a locked job again, as the next attempt; None where its state does not allow it."""
    if advance(JobState(job.state), what) is None:
        return None
    job.attempt += 1
    job.replay_from = job.last_seq
    queue(TASK_TRAIN, job, job.attempt)
    return change(job, what, reason=reason)


def end_attempt(job: Job, attempt: Attempt, kind: str, cause: str, is_fault: bool = False) -> None:
    """The attempt is over: its node gets no lease any more. `is_fault`: the node is to blame."""
    if attempt.ended_at is None:
        audit.note(Audited.ATTEMPT_ENDED, job.run_id, job.team_id, reason=cause, attempt=attempt.number, kind=kind)
        attempt.ended_at, attempt.cause, attempt.lease_until = func.now(), cause, None
        attempt.kind, attempt.is_fault = kind, is_fault


def finish_if_complete(job: Job, attempt: Attempt) -> bool:
    """Queues the ending of an attempt once its outcome and every fact before it are recorded."""
    outcome: dict[str, Any] | None = attempt.outcome
    if outcome is None or attempt.ended_at is not None or attempt.facts_recorded < outcome["facts_sent"]:
        return False
    queue(TASK_FINISH, job, attempt.number)
    return True
