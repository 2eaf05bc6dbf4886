"""Files of ended attempts that are missing or damaged: the node that keeps them is asked to upload them again, and what
it could not store in time is taken later. Nodes ask; nobody can call them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select

from wire.facts import Outcome
from wire.names import TASK_FINISH

from . import audit, ledger
from .audit import Audited
from .errors import Conflict
from .extensions import db
from .lifecycle import JobState
from .models import Attempt, Job

RESENDS = 3
"""How often a node is asked to upload files again before that is given up."""
PATIENCE = timedelta(minutes=10)
"""A node that does not come for so long is not waited for: it may be gone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to become of the files that a node keeps: `word` is one of wire.uploads.ANSWERS."""

    word: str
    names: tuple[str, ...] = ()


def ask(attempt: Attempt, names: list[str]) -> bool:
    """Asks the node of a locked attempt for these files once more; False where that is of no use (any more)."""
    said = Outcome.from_wire(attempt.outcome)
    if not said.kept or attempt.resends >= RESENDS:
        return False
    attempt.resend, attempt.resend_at = names, func.now()
    attempt.resends += 1
    ledger.done(TASK_FINISH, attempt.run_id, attempt.number)
    return True


def answer(node_id: UUID, run_id: UUID, number: int) -> Answer:
    """For the node that keeps the files. Raises Conflict where the attempt is another node's."""
    attempt = db.session.get(Attempt, (run_id, number), populate_existing=True)
    if attempt is None:
        return Answer("unknown")
    _check_owner(attempt, node_id)
    if attempt.ended_at is None:
        return Answer("resend", tuple(attempt.resend)) if attempt.resend else Answer("wait")
    return Answer("keep" if is_repairable(db.session.get(Job, run_id), attempt) else "stored")


def is_repairable(job: Job | None, attempt: Attempt) -> bool:
    """Whether the attempt ended for want of its files, and its job with it: then they are taken at any time."""
    return (
        job is not None and job.attempt == attempt.number and job.state in (JobState.FAILED, JobState.CANCELLED)
        and attempt.ended_at is not None and (attempt.outcome or {}).get("achieved") is not None
    )  # fmt: skip


def may_upload(node_id: UUID, run_id: UUID, number: int) -> bool:
    """Whether files of this attempt are taken from that node."""
    attempt = db.session.get(Attempt, (run_id, number), populate_existing=True)
    if attempt is None or attempt.node_id != node_id:
        return False
    return attempt.ended_at is None or is_repairable(db.session.get(Job, run_id), attempt)


def again(node_id: UUID, run_id: UUID, number: int) -> None:
    """The node has uploaded files again: they are verified anew. An attempt that had ended for want of them is open
    until that is settled. Raises Conflict."""
    found = ledger.lock_attempt(run_id, number)
    if found is None:
        raise Conflict(f"There is no attempt {number} of run {run_id} (any more).")
    job, attempt = found
    _check_owner(attempt, node_id)
    if attempt.resend and attempt.ended_at is None:
        attempt.resend = None
        ledger.queue(TASK_FINISH, job, number)
    elif is_repairable(job, attempt):
        audit.note(Audited.ATTEMPT_REOPENED, run_id, job.team_id, attempt=number,
                   reason="Its node has stored what could not be stored in time.")  # fmt: skip
        _reopen(attempt)
        ledger.queue(TASK_FINISH, job, number)
    elif attempt.ended_at is not None:
        raise Conflict(f"Attempt {number} of run {run_id} has ended, and no file of it is missing.")
    db.session.commit()  # where nothing was asked for, a repeat of what was done already


def _reopen(attempt: Attempt) -> None:
    said = attempt.outcome or {}
    attempt.outcome = said | {"status": said["achieved"], "achieved": None, "error": None, "cause": None, "kept": True}
    attempt.ended_at = attempt.cause = attempt.kind = attempt.resend = None
    attempt.resends = 0


def give_up() -> None:
    """On nodes that were asked for files and did not come: what is there is verified once more, then the job ends."""
    late = select(Attempt.run_id, Attempt.number).where(
        Attempt.resend_at < func.now() - PATIENCE, Attempt.resend.is_not(None), Attempt.ended_at.is_(None)
    )
    for run_id, number in db.session.execute(late).all():
        found = ledger.lock_attempt(run_id, number)
        if found and found[1].resend and found[1].ended_at is None:
            found[1].resend, found[1].resends = None, RESENDS
            ledger.queue(TASK_FINISH, found[0], number)
        db.session.commit()
    db.session.commit()


def _check_owner(attempt: Attempt, node_id: UUID) -> None:
    if attempt.node_id != node_id:
        raise Conflict(f"Attempt {attempt.number} of run {attempt.run_id} is not yours.")
