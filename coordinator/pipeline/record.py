"""The database's part of the pipeline: what a report changes, each in one transaction, each safe to repeat."""

from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from wire.facts import Outcome
from wire.names import TASK_FINISH
from wire.rejected import Rejected

from .. import audit, ledger, nodes, queries, retries
from ..extensions import db
from ..lifecycle import Change, JobState
from ..models import Attempt, Job, RejectedCount, RejectedMessage
from . import reruns
from .batch import record_facts
from .reports import AttemptComplete, AttemptLost, FactsReported, OutcomeReported

CANCELLED = "It was cancelled."
NODE = "{node}"
"""Where the name of an attempt's node stands in a cause."""
_CAUSES = {
    retries.CANCELLED: CANCELLED,
    retries.DRAINED: f"Its node {NODE} was told to stop.",
    retries.LOST: f"Its node {NODE} was restarted during the training.",
}


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
    """The job's state after an attempt whose artifacts are in their place.

    An outcome that is not the one whose files were looked at does not end here, or it might be a success without a
    model: the outbox asks for its ending again.
    """
    found = ledger.lock_attempt(report.run_id, report.attempt)
    if found and found[1].ended_at is None:
        job, attempt = found
        if report.settled is None or attempt.outcome != report.settled:
            db.session.commit()
            return
        said = Outcome.from_wire(attempt.outcome)
        kind = retries.kind_of(said, is_cancelled=job.cancel_requested_at is not None)
        cause = _CAUSES.get(kind, said.error or f"It {said.status}.")
        _end(job, attempt, kind, cause, is_fault=kind == retries.NODE, is_said_by_node=True)
        if job.attempt == attempt.number:
            job.log_tail = said.log_tail or None
            if said.status in ("succeeded", "stopped") or kind == "time_limit":
                job.steps_trained, job.mean_reward = said.steps, said.mean_reward
            _conclude(job, attempt, said.error, max_attempts, report)
    ledger.done(TASK_FINISH, report.run_id, report.attempt)
    db.session.commit()


def loss(max_attempts: int, report: AttemptLost) -> None:
    """An attempt without an outcome is over: the job goes on as the next attempt, or ends."""
    found = ledger.lock_attempt(report.run_id, report.attempt)
    if found and found[1].ended_at is None and found[1].outcome is None and _is_lost(report):
        job, attempt = found
        is_fault = report.is_fault and nodes.is_at_work(attempt.node_id)
        _end(job, attempt, retries.LOST, report.cause, is_fault)
        if job.attempt == attempt.number:
            _conclude(job, attempt, None, max_attempts, report)
    db.session.commit()


def reject(source: str, reason: str, body: Any) -> None:
    """Sets aside a message that nobody can use, inside the caller's transaction, and counts it."""
    its = Rejected.of(source, reason, body)
    db.session.execute(insert(RejectedMessage).values(source=its.source, reason=its.reason, body=its.body))
    one_more = {"count": RejectedCount.count + 1, "last_at": func.now()}
    counted = upsert(RejectedCount).values(source=source)
    db.session.execute(counted.on_conflict_do_update(index_elements=["source"], set_=one_more))


def _is_lost(report: AttemptLost) -> bool:
    """The attempt's row is locked too, since heartbeats do not lock the job's."""
    its = (Attempt.run_id == report.run_id, Attempt.number == report.attempt)
    is_held = db.session.scalar(select(Attempt.lease_until >= func.now()).where(*its).with_for_update())
    return not (report.only_if_silent and is_held)


def _end(
    job: Job, attempt: Attempt, kind: str, cause: str, is_fault: bool, is_said_by_node: bool = False
) -> None:  # fmt: skip
    name = nodes.name_of(attempt.node_id)
    with audit.acting_as(audit.node(attempt.node_id, name) if is_said_by_node else audit.acting()):
        ledger.end_attempt(job, attempt, kind, cause.replace(NODE, name), is_fault)
    if is_fault:
        nodes.blame(attempt.node_id)


def _conclude(
    job: Job, attempt: Attempt, error: str | None, max_attempts: int, report: AttemptComplete | AttemptLost
) -> None:
    """What becomes of the job whose current attempt has ended."""
    if attempt.kind == retries.SUCCEEDED:
        succeeded = Change.RECOVERED if job.state == JobState.FAILED else Change.SUCCEEDED
        told = ledger.change(job, succeeded, error)
    elif job.cancel_requested_at and retries.RULES.get(attempt.kind or "") != retries.NEVER:
        told = ledger.change(job, Change.CANCELLED, CANCELLED)
    elif why := retries.why_not_again(queries.ended(job), attempt.cause or "", max_attempts):
        told = ledger.change(job, Change.FAILED, why)
    else:
        told = ledger.next_attempt(job, Change.REQUEUED, attempt.cause)
    if told:
        report.told.append(told)
    reruns.conclude(job)
