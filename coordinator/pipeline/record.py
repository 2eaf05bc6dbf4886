"""The database's part of the pipeline: what a report changes, each in one transaction, each safe to repeat."""

from sqlalchemy import func, insert, select

from wire.facts import Outcome
from wire.names import TASK_FINISH

from .. import ledger
from ..extensions import db
from ..lifecycle import Change
from ..models import Attempt, Job, RejectedMessage
from . import reruns
from .batch import record_facts
from .reports import AttemptComplete, AttemptLost, FactsReported, OutcomeReported

CANCELLED = "It was cancelled."


def facts(report: FactsReported) -> None:
    """Metrics and phases, numbered for the games. Facts seen before insert nothing."""
    recorded = record_facts(report.facts)
    for fact in recorded.strays:
        reject("events", f"There is no attempt {fact.attempt} of run {fact.run_id}.", repr(fact.body))
    db.session.commit()
    report.told += recorded.told
    report.logged += recorded.logged


def outcome(report: OutcomeReported) -> None:
    """Keeps an outcome with its attempt. The first one counts; what follows from it waits for the last fact."""
    said = report.outcome
    found = ledger.lock_attempt(said.run_id, said.attempt)
    if found is None:
        reject("outcome", f"There is no attempt {said.attempt} of run {said.run_id}.", str(said.to_wire()))
    elif found[1].outcome is None:
        job, attempt = found
        attempt.outcome, attempt.outcome_at = said.to_wire(), func.now()
        for artifact in said.artifacts:
            if artifact.kind == "bundle":
                attempt.bundle = artifact.manifest
        ledger.finish_if_complete(job, attempt)
    db.session.commit()


def ending(max_attempts: int, report: AttemptComplete) -> None:
    """The job's state after an attempt whose artifacts are in their place."""
    found = ledger.lock_attempt(report.run_id, report.attempt)
    if found and found[1].outcome and found[1].ended_at is None:
        job, attempt = found
        said = Outcome.from_wire(attempt.outcome)
        ledger.end_attempt(attempt, said.error or f"It {said.status}.")
        if job.attempt == attempt.number:
            _conclude(job, said, max_attempts, report)
            reruns.conclude(job)
    ledger.done(TASK_FINISH, report.run_id, report.attempt)
    db.session.commit()


def loss(max_attempts: int, report: AttemptLost) -> None:
    """An attempt without an outcome is over: the job goes on as the next attempt, or ends."""
    found = ledger.lock_attempt(report.run_id, report.attempt)
    if found and found[1].ended_at is None and found[1].outcome is None and _is_lost(report):
        job, attempt = found
        ledger.end_attempt(attempt, report.cause)
        if job.attempt == attempt.number:
            _again(job, report.cause, max_attempts, report)
            reruns.conclude(job)
    db.session.commit()


def reject(source: str, reason: str, body: str) -> None:
    """Sets aside a message that nobody can use, inside the caller's transaction."""
    clean = body.replace("\0", "")[:10_000]
    db.session.execute(insert(RejectedMessage).values(source=source, reason=reason[:2_000], body=clean))


def _is_lost(report: AttemptLost) -> bool:
    """The attempt's row is locked too, since heartbeats do not lock the job's."""
    its = (Attempt.run_id == report.run_id, Attempt.number == report.attempt)
    is_held = db.session.scalar(select(Attempt.lease_until >= func.now()).where(*its).with_for_update())
    return not (report.only_if_silent and is_held)


def _conclude(job: Job, said: Outcome, max_attempts: int, report: AttemptComplete) -> None:
    job.log_tail = said.log_tail or None
    if said.status in ("succeeded", "stopped"):
        job.steps_trained, job.mean_reward = said.steps, said.mean_reward
    if said.status in ("interrupted", "stopped"):
        _again(job, said.error or "Its node stopped it.", max_attempts, report)
        return
    change = Change.SUCCEEDED if said.status == "succeeded" else Change.FAILED
    if told := ledger.change(job, change, said.error):
        report.told.append(told)


def _again(job: Job, cause: str, max_attempts: int, report: AttemptComplete | AttemptLost) -> None:
    if job.cancel_requested_at:
        told = ledger.change(job, Change.CANCELLED, CANCELLED)
    elif job.attempt - job.first_attempt + 1 >= max_attempts:
        told = ledger.change(job, Change.FAILED, f"It was started {max_attempts} times and lost each time: {cause}")
    else:
        told = ledger.next_attempt(job, Change.REQUEUED)
    if told:
        report.told.append(told)
