"""Commands on jobs: submit, resume, cancel, delete; and claim and renew, by which a node holds one.

Each is one transaction. What it returns to be told is published by the caller, after the commit.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text, update

from wire.codec import encode
from wire.jobs import Has
from wire.names import DEFAULT_TRAINER, TASK_TRAIN, train_queue

from . import audit, idempotency, ledger, messages, nodes, permissions, queries
from .audit import Audited
from .dispatching import placement
from .errors import Conflict
from .extensions import db
from .ledger import Told
from .lifecycle import Change, JobState
from .limiting import allowance
from .models import Attempt, Job, Node
from .permissions import Action, Caller

PAUSE_AFTER_MISFIT = timedelta(seconds=5)
"""A node that does not fit is told so with its next hello; until then it would take the same task again."""
CANCELLED_BEFORE_START = "It was cancelled before a node had started it."


@dataclass(frozen=True, slots=True)
class Request:
    """What a game asks for, checked."""

    agent_config: str
    env_id: str
    agent_id: str
    num_of_areas: int
    behaviour: str
    steps: int
    seed: int | None = None
    """None for a random one."""
    env_version: str | None = None
    build_id: UUID | None = None
    """None: a build of ENVIRONMENTS_DIR."""
    trainer: str = DEFAULT_TRAINER
    num_envs: int = 1
    checkpoint_interval: int | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    recording: dict[str, Any] = field(default_factory=dict)
    requires: dict[str, Any] = field(default_factory=dict)
    initialize_from: UUID | None = None
    initialize_key: str | None = None
    initialize_sha256: str | None = None
    rerun_of: UUID | None = None
    time_limit: int | None = None
    """Seconds; None: without end."""
    priority: int | None = None
    """None: the usual one; of a resumed job, its own."""


_SUBMIT = text("""
WITH job AS (
  INSERT INTO jobs (run_id, owner_id, job_type, state, agent_config, env_id, agent_id, num_of_areas, behaviour, steps,
                    steps_before, steps_trained, seed, priority, attempt, first_attempt, last_seq, replay_from,
                    env_version, build_id, trainer, num_envs, checkpoint_interval, hyperparameters, recording, requires,
                    queue, initialize_from, initialize_key, initialize_sha256, rerun_of, time_limit, team_id)
  VALUES (:run_id, :owner_id, 'CREATE', :state, :agent_config, :env_id, :agent_id, :num_of_areas, :behaviour, :steps,
          0, 0, :seed, :priority, 1, 1, 1, 0,
          :env_version, :build_id, :trainer, :num_envs, :checkpoint_interval, CAST(:hyperparameters AS jsonb),
          CAST(:recording AS jsonb), CAST(:requires AS jsonb), :queue, :initialize_from, :initialize_key,
          :initialize_sha256, :rerun_of, :time_limit, :team_id)
  RETURNING *
), told AS (
  INSERT INTO events (run_id, seq, final, frame) SELECT run_id, 1, false, :frame FROM job
), task AS (
  INSERT INTO outbox (task, run_id, attempt, priority, queue, owner_id, team_id, queued_at)
  SELECT :task, run_id, 1, priority, queue, owner_id, team_id, queued_at FROM job
), noted AS (
  INSERT INTO audit (action, object, team_id, actor_type, actor, actor_id, token, token_id, origin, details)
  SELECT 'job.submitted', run_id::text, team_id, :actor_type, :actor, :actor_id, :token, :token_id, :origin,
         jsonb_build_object('env_id', env_id, 'behaviour', behaviour, 'steps', steps, 'rerun_of', rerun_of) FROM job
)
SELECT job.*, pg_notify(:channel, '') FROM job
""")


def submit(who: Caller, request: Request, key: idempotency.Key | None = None) -> Any:
    """A new job, its first event and the task that will train it: one statement, for it is the busiest command.

    Raises NotAllowed, LimitReached, and idempotency.Taken where a request with the same key has made its job meanwhile.
    """
    permissions.require(who, Action.SUBMIT)
    priority = allowance.check_job(who, request.steps, request.num_envs, request.priority)
    run_id, needs = uuid4(), placement.needs(request.requires, request.trainer)
    values = {
        "run_id": run_id, "owner_id": who.user_id, "team_id": who.team_id, "state": JobState.SUBMITTED,
        "agent_config": request.agent_config,
        "env_id": request.env_id, "agent_id": request.agent_id, "num_of_areas": request.num_of_areas,
        "behaviour": request.behaviour, "steps": request.steps,
        "seed": secrets.randbelow(2**31) if request.seed is None else request.seed,
        "priority": priority, "task": TASK_TRAIN, "channel": ledger.OUTBOX_CHANNEL,
        "frame": messages.status(run_id, 1, 1, JobState.SUBMITTED, None),
        "env_version": request.env_version, "build_id": request.build_id, "trainer": request.trainer,
        "num_envs": request.num_envs, "checkpoint_interval": request.checkpoint_interval,
        "hyperparameters": encode(request.hyperparameters), "recording": encode(request.recording),
        "requires": encode(needs), "queue": train_queue(needs),
        "initialize_from": request.initialize_from, "initialize_key": request.initialize_key,
        "initialize_sha256": request.initialize_sha256, "rerun_of": request.rerun_of, "time_limit": request.time_limit,
    } | audit.acting().columns()  # fmt: skip
    with db.engine.begin() as connection:  # a session would cost more than the statement
        if key:
            idempotency.take(connection, key, run_id)
        allowance.check_queue(connection, who, request.steps)
        return connection.execute(_SUBMIT, values).one()


def resume(who: Caller, run_id: UUID, request: Request, key: idempotency.Key | None = None) -> tuple[Job, Told | None]:
    """Trains a succeeded job for `request.steps` more. A job that still waits or runs is answered as it is.

    Raises NotFound and NotAllowed for a job that is not the caller's to change, Conflict for one that failed or trains
    something else, LimitReached, and idempotency.Taken as `submit` does.
    """
    allowance.check_job(who, request.steps, request.num_envs, request.priority)
    if key:
        idempotency.take(db.session, key, run_id)
    job = _to_change(who, run_id)
    state = JobState(job.state)
    if state in (JobState.FAILED, JobState.CANCELLED):
        how = "failed" if state is JobState.FAILED else "was cancelled"
        raise Conflict(f"Run {run_id} {how}: there is nothing to go on from. Submit a new job without a run_id.")
    if (request.env_id, request.behaviour) != (job.env_id, job.behaviour):
        raise Conflict(f"Run {run_id} trains {job.behaviour} in {job.env_id}; a resumed run goes on with the same.")
    if request.hyperparameters or request.initialize_from:
        raise Conflict(f"Run {run_id} goes on with its own hyperparameters and checkpoint. To change them, submit a "
                       f"new job with initialize_from.")  # fmt: skip
    told = None
    if state is JobState.SUCCEEDED:
        allowance.check_queue(db.session, who, request.steps)
        job.checkpoint_interval = request.checkpoint_interval or job.checkpoint_interval
        job.time_limit = request.time_limit or job.time_limit
        job.priority = request.priority or min(job.priority, allowance.highest_priority(who))
        job.job_type, job.steps, job.steps_before = "RESUME", request.steps, _reached(job)
        job.agent_config, job.agent_id, job.num_of_areas = request.agent_config, request.agent_id, request.num_of_areas
        job.seed = job.seed if request.seed is None else request.seed
        job.recording = job.recording | request.recording
        job.first_attempt, job.queued_at = job.attempt + 1, db.session.execute(select(func.now())).scalar_one()
        job.cancel_requested_at = None  # one that came too late for the training before is not meant for this one
        told = ledger.next_attempt(job, Change.RESUMED)
    db.session.commit()
    return job, told


def _reached(job: Job) -> int:
    """The step that a resumed run begins at: its checkpoint's, so that it trains as many more as asked for."""
    checkpoint = queries.newest_checkpoint(job.run_id)
    if checkpoint is None:
        raise Conflict(f"Run {job.run_id} has left no checkpoint to go on from. Submit a new job without a run_id.")
    return job.steps_trained if checkpoint.step is None else checkpoint.step


def cancel(who: Caller, run_id: UUID, delete: bool = False) -> tuple[Job, Told | None]:
    """Asks for the end of a job: at once while it is queued, otherwise its node is told with the next heartbeat.

    With `delete` the job is also hidden from now on, and removed once it has ended. Raises NotFound and NotAllowed.
    """
    job = _to_change(who, run_id)
    told = None
    if not JobState(job.state).is_final and job.cancel_requested_at is None:
        job.cancel_requested_at = func.now()
        audit.note(Audited.JOB_CANCEL_REQUESTED, run_id, job.team_id, attempt=job.attempt)
    if job.state == JobState.SUBMITTED:
        told = ledger.change(job, Change.CANCELLED, CANCELLED_BEFORE_START)
        ledger.done(TASK_TRAIN, run_id, job.attempt)
    if delete:
        job.deleted_at = func.now()
        audit.note(Audited.JOB_DELETED, run_id, job.team_id)
    db.session.commit()
    return job, told


def claim(node_id: UUID, run_id: UUID, number: int, claim_id: UUID, lease_seconds: float) -> tuple[Job, Told | None]:
    """The attempt now belongs to this execution on this node. The same claim again gets the same answer.

    Raises Conflict where the attempt is not to be had (any more): the node drops the message.
    """
    job = ledger.lock(run_id)
    if job is None or job.deleted_at or job.attempt != number:
        raise Conflict(f"Attempt {number} of run {run_id} is not wanted any more.")
    if job.state != JobState.SUBMITTED:
        held = db.session.get(Attempt, (run_id, number))
        if held is None or held.claim != claim_id or held.ended_at or held.node_id != node_id:
            raise Conflict(f"Attempt {number} of run {run_id} is taken or has ended.")
        db.session.commit()
        return job, None
    _check_fit(node_id, job)
    lease = func.now() + timedelta(seconds=lease_seconds)
    start = queries.start_step(job, number)
    attempt = Attempt(run_id=run_id, number=number, node_id=node_id, claim=claim_id, lease_until=lease,
                      start_step=start, task_sent_at=ledger.done(TASK_TRAIN, run_id, number))  # fmt: skip
    db.session.add(attempt)
    told = ledger.change(job, Change.CLAIMED)
    db.session.commit()
    return job, told


def _check_fit(node_id: UUID, job: Job) -> None:
    """Raises Conflict where the node is to get no work, or has not (any more) what the job asks for: then another is to
    be sent the task."""
    # locked: it is revoked either before, and refused, or later, and what it has claimed is ended
    node = db.session.get(Node, node_id, with_for_update={"read": True}, populate_existing=True)
    why = nodes.refuses(node) if node else None
    if node and (lacking := placement.lacks(Has.from_wire(node.has), job.requires)):
        why = f"it has not {lacking}."
    if why:
        ledger.send_again(TASK_TRAIN, job.run_id, job.attempt, after=PAUSE_AFTER_MISFIT)
        db.session.commit()
        raise Conflict(f"Run {job.run_id} is not for this node: {why[0].lower()}{why[1:]}")


def renew(node_id: UUID, run_id: UUID, number: int, lease_seconds: float) -> str:
    """A heartbeat of a training: "go on", "cancel", or "not yours" once the attempt is not this node's any more."""
    lease = func.now() + timedelta(seconds=lease_seconds)
    held = db.session.execute(
        update(Attempt)
        .where(Attempt.run_id == run_id, Attempt.number == number, Attempt.node_id == node_id)
        .where(Attempt.ended_at.is_(None), Job.run_id == Attempt.run_id, Job.attempt == Attempt.number)
        .values(lease_until=lease)
        .returning(Job.cancel_requested_at)
        .execution_options(synchronize_session=False)
    ).first()
    db.session.commit()
    if held is None:
        return "not yours"
    return "cancel" if held.cancel_requested_at else "go on"


def _to_change(who: Caller, run_id: UUID) -> Job:
    """Locked. Raises NotFound where the caller may not even see it, NotAllowed where he may see it only."""
    job = queries.seen(who, ledger.lock(run_id), run_id)
    permissions.require_change(who, job.owner_id, job.team_id)
    return job
