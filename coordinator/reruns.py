"""The same run once more: a new job with everything that decided the first one."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from . import idempotency, jobs, permissions, queries
from .errors import Conflict
from .extensions import db
from .lifecycle import JobState
from .limiting import allowance
from .models import Job
from .permissions import Caller


def start(who: Caller, run_id: UUID, key: idempotency.Key | None = None) -> Any:
    """The new job. Raises NotFound, NotAllowed, Conflict for a run that has not ended or never began, and
    idempotency.Taken."""
    job = queries.job_of(who, run_id)
    permissions.require_change(who, job.owner_id, job.team_id)
    if not JobState(job.state).is_final:
        raise Conflict(f"Run {run_id} is {job.state}; it can be run again once it has ended.")
    if not queries.attempts_of(run_id):
        raise Conflict(f"Run {run_id} was never started, so there is nothing to compare with. Submit a new job.")
    if job.initialize_key and not queries.is_kept(job.initialize_key):
        raise Conflict(f"Run {run_id} began with a checkpoint of run {job.initialize_from}, which is no longer kept.")
    request = replace(same(job), priority=min(job.priority, allowance.highest_priority(who)))
    db.session.close()  # many at once must not wait for a second connection while each keeps its first
    return jobs.submit(who, request, key)


def same(job: Job) -> jobs.Request:
    """What was asked for, from the first step on: a run that was resumed is trained in one go."""
    return jobs.Request(
        job.agent_config, job.env_id, job.agent_id, job.num_of_areas, job.behaviour, job.steps_before + job.steps,
        job.seed, env_version=job.env_version, build_id=job.build_id, trainer=job.trainer, num_envs=job.num_envs,
        checkpoint_interval=job.checkpoint_interval, hyperparameters=job.hyperparameters, recording=job.recording,
        requires=job.requires, initialize_from=job.initialize_from, initialize_key=job.initialize_key,
        initialize_sha256=job.initialize_sha256, rerun_of=job.run_id,
        time_limit=job.time_limit,
    )  # fmt: skip
