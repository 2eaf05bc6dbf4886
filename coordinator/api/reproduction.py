"""REST for what decided a run's result, and for running it once more."""

from typing import Any
from uuid import UUID

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from .. import queries, reruns
from ..errors import Conflict
from ..permissions import Action
from . import auth, views
from .auth import needs
from .described import tells
from .forms import Json
from .forms.jobs import TrainJob
from .forms.results import Bundle
from .parameters import Idempotent
from .repeats import once

blueprint = Blueprint("reproduction", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>")


@blueprint.get("/bundle")
@needs(Action.READ)
@tells(Bundle, refuses={409: "No attempt has handed in yet."})
def bundle(run_id: UUID) -> ResponseReturnValue:
    """Everything that decided the result of the newest attempt that has told it."""
    return jsonify(_bundle(run_id, "bundle"))


@blueprint.get("/configuration")
@needs(Action.READ)
@tells(Json, refuses={409: "No attempt has handed in yet, or the trainer ended before it had read it."})
def configuration(run_id: UUID) -> ResponseReturnValue:
    """The trainer's configuration as the trainer has resolved it, every default filled in."""
    resolved = _bundle(run_id, "configuration").get("configuration")
    if resolved is None:
        raise Conflict(f"The trainer of run {run_id} ended before it had read its configuration.")
    return jsonify(resolved)


@blueprint.post("/rerun")
@needs(Action.CHANGE_OWN)
@tells(TrainJob, headers=Idempotent, refuses={409: "The run has not ended, or there is nothing to repeat it with."})
def rerun(run_id: UUID) -> ResponseReturnValue:
    """A new job with the same everything; once it has ended, its `comparison` says what was the same."""
    who = auth.user()
    asked = {"rerun_of": str(run_id)}
    return once(who, asked, lambda key: _shown(reruns.start(who, run_id, key)))


def _shown(row: Any) -> ResponseReturnValue:
    return jsonify(views.job(row, auth.owner_of(row)))


def _bundle(run_id: UUID, what: str) -> dict[str, Any]:
    job = queries.job_of(auth.user(), run_id)
    found = queries.newest_bundle(run_id)
    if found is None:
        raise Conflict(
            f"Run {run_id} has no {what} yet: it is {job.state}. There is one once an attempt has handed in."
        )
    return found
