"""REST for what games fetch of a training: the model, the bundle of results, the checkpoint."""

from uuid import UUID

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue

from wire.files import TrainFile, bundle_size, stream_bundle

from .. import held, messages, pages, queries
from ..errors import Conflict, NotFound
from ..models import Artifact
from ..parts import parts
from ..permissions import Action, Caller
from . import auth, listing, views
from .auth import Door, needs
from .described import tells
from .downloads import FILE, STORED, download, stored
from .forms.results import Model
from .listing import wanted_number
from .parameters import OfVersion, Paged, PageOfModels, Resumable

NO_MODEL = "There is no model yet."
blueprint = Blueprint("models", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>")
ORDERS: pages.Keys[Artifact] = {"version": lambda its: (its.attempt, its.name)}


@blueprint.get("/nn-model")
@needs(Action.READ, guests=True)
@tells(STORED, query=OfVersion, headers=Resumable, refuses={409: NO_MODEL, 410: ""})
def nn_model(run_id: UUID) -> Response:
    """The newest model as ONNX, or the one of a `version`. Old games send no token here; they are served where the
    operator allows it."""
    who, version = auth.user_or_guest(), wanted_number("version")
    model = _model(run_id, who)
    if version is not None:
        model = _of_version(run_id, version)
    return stored(model, "model.onnx")


@blueprint.get("/models")
@needs(Action.READ)
@tells(list[Model], query=PageOfModels, sends=Paged)
def index(run_id: UUID) -> ResponseReturnValue:
    """Every model of the job with its manifest, oldest first."""
    queries.job_of(auth.user(), run_id)
    return listing.of_rows(queries.models_of(run_id), ORDERS, "version", views.model)


@blueprint.get("/train-results")
@needs(Action.READ)
@tells(FILE, refuses={409: NO_MODEL, 410: ""})
def train_results(run_id: UUID) -> Response:
    """The model and its metrics as a protobuf TrainFileBundle."""
    model = _model(run_id, auth.user())
    lines = [messages.summary(row) for row in queries.metrics_of(run_id) if row.mean_reward is not None]
    metrics = TrainFile("metrics.json", current_app.json.dumps(lines).encode())
    files = [TrainFile("model.onnx", parts(current_app).storage.read(model.key, model.size), model.size), metrics]
    return download(lambda: stream_bundle(files), "train-results.bin", bundle_size(files))


@blueprint.get("/checkpoint")
@needs(Door.NODES)
@tells(STORED, headers=Resumable, refuses={410: ""})
def checkpoint(run_id: UUID) -> Response:
    """The newest checkpoint, for a node that trains the run, or another one that begins with its weights."""
    return stored(held.checkpoint(auth.node_id(), run_id), "checkpoint.pt")


def _model(run_id: UUID, who: Caller | None) -> Artifact:
    job = queries.watched(run_id, who)
    artifact = queries.newest_artifact(run_id, "model")
    if artifact is None:
        raise Conflict(f"Run {run_id} has no model yet: it is {job.state}.")
    return artifact


def _of_version(run_id: UUID, version: int) -> Artifact:
    models = queries.models_of(run_id)
    if not 1 <= version <= len(models):
        raise NotFound(f"Run {run_id} has no model of version {version}; its newest is {len(models)}.")
    return models[version - 1]
