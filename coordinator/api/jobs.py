"""REST for games: submit, list, show, delete and cancel training jobs. Success is exactly 200."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from .. import idempotency, job_list, jobs, metric_list, queries, recordings
from ..accounts import teams
from ..dispatching import places
from ..lifecycle import JobState
from ..models import Job
from ..options import hyperparameters, initialization, time_limits
from ..parts import parts
from ..permissions import Action, Caller
from . import auth, listing, views
from .auth import needs
from .described import tells
from .forms.jobs import TrainJob, TrainJobInFull
from .forms.results import Summary
from .listing import wanted_moment, wanted_number, wanted_text, wanted_words
from .parameters import Idempotent, Paged, PageOfJobs, PageOfMetrics
from .repeats import once
from .schemas import TrainJobBody, body

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/train-jobs")
NO_OTHER = "The run that it names is not there for the caller."
STATES = {str(state): state.for_games for state in JobState}


@blueprint.post("")
@needs(Action.SUBMIT)
@tells(
    TrainJob,
    body=TrainJobBody,
    headers=Idempotent,
    refuses={404: NO_OTHER, 409: "The run that is named has failed, was cancelled, or has no checkpoint."},
)
def submit() -> ResponseReturnValue:
    """A new job, or with the `run_id` of one that succeeded, more steps for that one."""
    who = auth.user()
    wanted = body(TrainJobBody)
    asked = wanted.model_dump(mode="json", exclude_defaults=True)
    return once(who, asked, lambda key: _submit(who, wanted, key))


def _submit(who: Caller, wanted: TrainJobBody, key: idempotency.Key | None) -> ResponseReturnValue:
    asked = wanted.request()
    config = parts(current_app).config
    recording = recordings.policy(asked.recording, config.recording_max_mb)
    time_limit = time_limits.granted(asked.time_limit, config.max_time_limit)
    if wanted.run_id is not None:
        _check_resume(queries.job_of(who, wanted.run_id), asked)
        return _changed(jobs.resume(who, wanted.run_id, asked, key))
    its = parts(current_app).catalogue.choose(
        asked.env_id, asked.behaviour, asked.steps, asked.num_of_areas, asked.num_envs
    )
    behaviour = its.behaviour(asked.behaviour)
    hyperparameters.check_job(its.trainer, behaviour, asked.behaviour, asked.hyperparameters)
    asked = replace(asked, trainer=its.trainer, env_version=its.version, build_id=its.build_id, recording=recording,
                    time_limit=time_limit)  # fmt: skip
    row = jobs.submit(who, initialization.pinned(who, asked), key)
    return jsonify(views.job(row, auth.owner_of(row)))


def _check_resume(job: Job, asked: jobs.Request) -> None:
    """A job goes on in the version that it began in, within that one's limits."""
    if (asked.env_id, asked.behaviour) == (job.env_id, job.behaviour):
        its = parts(current_app).catalogue.pinned(job.env_id, job.build_id)
        its.check(asked.behaviour, asked.steps, asked.num_of_areas, job.num_envs)


@blueprint.get("")
@needs(Action.READ)
@tells(list[TrainJob], query=PageOfJobs, sends=Paged, refuses={404: "There is no such team."})
def index() -> ResponseReturnValue:
    """The caller's jobs, or those of everybody in a `team` of his; newest first."""
    who, which, asked = auth.user(), _which(), listing.asked(job_list.ORDERS, "-created_at")
    if (team := wanted_text("team")) is None:
        page = job_list.of_user(who, which, asked)
    else:
        page = job_list.of_team(teams.acting_in(who, team, Action.READ).team_id, which, asked)
    rows = page.rows
    models, owners = queries.newest_models([row.run_id for row in rows]), auth.owners_of(rows)
    where = places.of(rows)
    return listing.answer(page, [
        views.job(row, owners[row.run_id], models.get(row.run_id), where.get(row.run_id)) for row in rows
    ])  # fmt: skip


def _which() -> job_list.Which:
    states, for_games = wanted_words("state", STATES), wanted_words("job_status", STATES.values())
    if for_games is not None:
        states = {state for state in states or STATES if STATES[state] in for_games}
    return job_list.Which(
        states, wanted_text("env_id"), wanted_text("behavior_name"), wanted_text("created_by"), wanted_moment("since"),
        wanted_moment("until"),
    )  # fmt: skip


@blueprint.get("/<uuid:run_id>")
@needs(Action.READ)
@tells(TrainJobInFull)
def show(run_id: UUID) -> ResponseReturnValue:
    """One job, with all its attempts."""
    row = queries.job_of(auth.user(), run_id)
    attempts = [views.attempt(*attempt) for attempt in queries.attempts_of(run_id)]
    model = queries.newest_artifact(run_id, "model")
    job = views.job(row, auth.owner_of(row), model, places.of([row]).get(run_id))
    return jsonify(job | {"attempts": attempts, "log_tail": row.log_tail})


@blueprint.delete("/<uuid:run_id>")
@needs(Action.CHANGE_OWN)
@tells(bool)
def delete(run_id: UUID) -> ResponseReturnValue:
    """Cancels the job if it has not ended, and forgets it."""
    _, told = jobs.cancel(auth.user(), run_id, delete=True)
    parts(current_app).publisher.publish([told] if told else [])
    return jsonify(True)


@blueprint.post("/<uuid:run_id>/cancel")
@needs(Action.CHANGE_OWN)
@tells(TrainJob)
def cancel(run_id: UUID) -> ResponseReturnValue:
    """Asks for the end of the job; it is CANCELLED once its node has stopped the training."""
    return _changed(jobs.cancel(auth.user(), run_id))


@blueprint.get("/<uuid:run_id>/metrics")
@needs(Action.READ)
@tells(list[Summary], query=PageOfMetrics, sends=Paged)
def metrics(run_id: UUID) -> ResponseReturnValue:
    """Every summary of the training so far, with every statistic; with `attempt`, also what was trained again."""
    queries.job_of(auth.user(), run_id)
    asked = listing.asked(metric_list.ORDERS, "trained", listing.MOST_SMALL)
    page = metric_list.of_run(run_id, wanted_number("attempt"), wanted_text("behaviour"), asked)
    return listing.answer(page, [views.metric(row) for row in page.rows])


def _changed(result: tuple[Any, Any]) -> ResponseReturnValue:
    row, told = result
    parts(current_app).publisher.publish([told] if told else [])
    return jsonify(views.job(row, auth.owner_of(row), queries.newest_artifact(row.run_id, "model")))
