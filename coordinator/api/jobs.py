"""REST for games: submit, list, show, delete and cancel training jobs. Success is exactly 200."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from .. import hyperparameters, idempotency, initialization, jobs, queries, recordings, time_limits
from ..models import Job
from ..parts import parts
from . import auth, views
from .files import wanted_number
from .repeats import once
from .schemas import TrainJobBody, body

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/train-jobs")


@blueprint.post("")
def submit() -> ResponseReturnValue:
    """A new job, or with the `run_id` of one that succeeded, more steps for that one."""
    owner = auth.user()
    wanted = body(TrainJobBody)
    asked = wanted.model_dump(mode="json", exclude_defaults=True)
    return once(owner, asked, lambda key: _submit(owner, wanted, key))


def _submit(owner: auth.Owner, wanted: TrainJobBody, key: idempotency.Key | None) -> ResponseReturnValue:
    request = wanted.request()
    config = parts(current_app).config
    recording = recordings.policy(request.recording, config.recording_max_mb)
    time_limit = time_limits.granted(request.time_limit, config.max_time_limit)
    if wanted.run_id is not None:
        _check_resume(queries.job_of(owner.id, wanted.run_id), request)
        return _changed(jobs.resume(owner.id, wanted.run_id, request, key), owner)
    its = parts(current_app).catalogue.choose(
        request.env_id, request.behaviour, request.steps, request.num_of_areas, request.num_envs
    )
    behaviour = its.behaviour(request.behaviour)
    hyperparameters.check_job(its.trainer, behaviour, request.behaviour, request.hyperparameters)
    request = replace(request, trainer=its.trainer, env_version=its.version, build_id=its.build_id,
                      recording=recording, time_limit=time_limit)  # fmt: skip
    row = jobs.submit(owner.id, initialization.pinned(owner.id, request), key)
    return jsonify(views.job(row, owner))


def _check_resume(job: Job, request: jobs.Request) -> None:
    """A job goes on in the version that it began in, within that one's limits."""
    if (request.env_id, request.behaviour) == (job.env_id, job.behaviour):
        its = parts(current_app).catalogue.pinned(job.env_id, job.build_id)
        its.check(request.behaviour, request.steps, request.num_of_areas, job.num_envs)


@blueprint.get("")
def index() -> ResponseReturnValue:
    """The caller's jobs, newest first."""
    owner = auth.user()
    rows = queries.jobs_of(owner.id)
    models = queries.newest_models([row.run_id for row in rows])
    return jsonify([views.job(row, owner, models.get(row.run_id)) for row in rows])


@blueprint.get("/<uuid:run_id>")
def show(run_id: UUID) -> ResponseReturnValue:
    """One job, with all its attempts."""
    owner = auth.user()
    row = queries.job_of(owner.id, run_id)
    attempts = [views.attempt(*attempt) for attempt in queries.attempts_of(run_id)]
    model = queries.newest_artifact(run_id, "model")
    return jsonify(views.job(row, owner, model) | {"attempts": attempts, "log_tail": row.log_tail})


@blueprint.delete("/<uuid:run_id>")
def delete(run_id: UUID) -> ResponseReturnValue:
    """Cancels the job if it has not ended, and forgets it."""
    _, told = jobs.cancel(auth.user().id, run_id, delete=True)
    parts(current_app).publisher.publish([told] if told else [])
    return jsonify(True)


@blueprint.post("/<uuid:run_id>/cancel")
def cancel(run_id: UUID) -> ResponseReturnValue:
    """Asks for the end of the job; it is CANCELLED once its node has stopped the training."""
    owner = auth.user()
    return _changed(jobs.cancel(owner.id, run_id), owner)


@blueprint.get("/<uuid:run_id>/metrics")
def metrics(run_id: UUID) -> ResponseReturnValue:
    """Every summary of the training so far, with every statistic; with `attempt`, also what was trained again."""
    queries.job_of(auth.user().id, run_id)
    return jsonify([views.metric(row) for row in queries.metrics_of(run_id, wanted_number("attempt"))])


def _changed(result: tuple[Any, Any], owner: auth.Owner) -> ResponseReturnValue:
    row, told = result
    parts(current_app).publisher.publish([told] if told else [])
    return jsonify(views.job(row, owner, queries.newest_artifact(row.run_id, "model")))
