"""REST for what a training yields: the model, the bundle of results, the checkpoint."""

from collections.abc import Iterator
from uuid import UUID

from flask import Blueprint, Response, current_app

from wire.codec import encode
from wire.files import TrainFile, encode_bundle

from .. import queries
from ..errors import Conflict, NotFound
from ..models import Artifact
from ..parts import parts
from . import auth

blueprint = Blueprint("models", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>")


@blueprint.get("/nn-model")
def nn_model(run_id: UUID) -> Response:
    """The newest model as ONNX. Old games send no token here; they are served where the operator allows it."""
    config = parts(current_app).config
    owner = auth.user_id_or_guest(config.serve_games_without_token)
    return _file(_artifact(run_id, owner, "model"), "model.onnx")


@blueprint.get("/train-results")
def train_results(run_id: UUID) -> Response:
    """The model and its metrics as a protobuf TrainFileBundle."""
    model = _artifact(run_id, auth.user().id, "model")
    lines = [
        encode({"msg_id": 0, "behaviour": m.behaviour, "step": m.step, "time_elapsed": m.time_elapsed,
                "mean_reward": m.mean_reward, "std_reward": m.std_reward or 0.0})
        for m in queries.metrics_of(run_id) if m.mean_reward is not None
    ]  # fmt: skip
    content = b"".join(parts(current_app).storage.read(model.key))
    files = [TrainFile("model.onnx", content), TrainFile("metrics.json", current_app.json.dumps(lines).encode())]
    return _download(iter([encode_bundle(files)]), "train-results.bin", None)


@blueprint.get("/checkpoint")
def checkpoint(run_id: UUID) -> Response:
    """The newest checkpoint, for training nodes."""
    auth.node_id()
    artifact = queries.newest_artifact(run_id, "checkpoint")
    if artifact is None:
        raise NotFound(f"There is no checkpoint of run {run_id}.")
    return _file(artifact, "checkpoint.pt")


def _artifact(run_id: UUID, owner: UUID | None, kind: str) -> Artifact:
    job = queries.watched(run_id, owner)
    artifact = queries.newest_artifact(run_id, kind)
    if artifact is None:
        raise Conflict(f"Run {run_id} has no {kind} yet: it is {job.state}.")
    return artifact


def _file(artifact: Artifact, name: str) -> Response:
    return _download(parts(current_app).storage.read(artifact.key), name, artifact.size)


def _download(content: Iterator[bytes], name: str, size: int | None) -> Response:
    headers = {"Content-Disposition": f"attachment; filename={name}"} | ({"Content-Length": str(size)} if size else {})
    return Response(content, mimetype="application/octet-stream", headers=headers)
