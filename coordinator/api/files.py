"""REST for the files of a job: the list, one by one, and all of them as a zip that is made while it is sent."""

from uuid import UUID

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from .. import messages, pages, queries
from ..errors import Conflict, NotFound
from ..models import Artifact
from ..parts import parts
from ..permissions import Action
from ..zipped import Member, zipped
from . import auth, listing, views
from .auth import needs
from .described import tells
from .downloads import FILE, STORED, begun, download, made, stored
from .forms.results import FileForm
from .listing import wanted_number, wanted_text
from .parameters import OfAttempt, Paged, PageOfFiles, Resumable

blueprint = Blueprint("files", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>")
METRICS, METRICS_KIND = "metrics_data.json", "metrics"
LAST = (2**31, 0, METRICS)
ORDERS: pages.Keys[Artifact | None] = {
    "created_at": lambda its: (its.attempt, pages.moment(its.created_at), its.name) if its else LAST,
    "name": lambda its: (its.name, its.attempt) if its else (METRICS, 0),
}
"""None is the file that is made when it is asked for."""
NOT_IN_ZIP = ("recording",)


@blueprint.get("/files")
@needs(Action.READ)
@tells(list[FileForm], query=PageOfFiles, sends=Paged)
def index(run_id: UUID) -> ResponseReturnValue:
    """Every file of every attempt, oldest first; with `attempt`, of that one, with `kind`, of that kind."""
    queries.job_of(auth.user(), run_id)
    kind, rows = wanted_text("kind"), queries.files_of(run_id, wanted_number("attempt"))
    found = [its for its in [*rows, None] if kind in (None, its.kind if its else METRICS_KIND)]
    return listing.of_rows(found, ORDERS, "created_at", _shown)


def _shown(its: Artifact | None) -> FileForm:
    return views.file(its) if its else views.made_file(METRICS, METRICS_KIND)


@blueprint.get("/files/<name>")
@needs(Action.READ)
@tells(STORED, query=OfAttempt, headers=Resumable, refuses={410: ""})
def show(run_id: UUID, name: str) -> ResponseReturnValue:
    """The newest attempt's file of that name; with `attempt`, that one's."""
    queries.job_of(auth.user(), run_id)
    attempt = wanted_number("attempt")
    if name == METRICS:
        return made(_metrics(run_id, attempt), name)
    found = [row for row in queries.files_of(run_id, attempt) if row.name == name]
    if not found:
        which = f"attempt {attempt} of run {run_id}" if attempt else f"run {run_id}"
        raise NotFound(f"There is no file {name[:200]!r} of {which}.")
    return stored(found[-1], name)


@blueprint.get("/files.zip")
@needs(Action.READ)
@tells(FILE, query=OfAttempt, refuses={409: "There is no file yet.", 410: ""})
def archive(run_id: UUID) -> ResponseReturnValue:
    """The newest file of each name, but no recordings and of checkpoints only the newest."""
    job = queries.job_of(auth.user(), run_id)
    attempt = wanted_number("attempt")
    rows = _for_zip(queries.files_of(run_id, attempt))
    if not rows:
        raise Conflict(f"Run {run_id} has no files yet: it is {job.state}.")
    storage = parts(current_app).storage
    members = [Member(row.name, row.created_at, lambda key=row.key: storage.read(key)) for row in rows]  # type: ignore[misc]
    metrics = _metrics(run_id, attempt)  # now: when the answer is sent, its request is over
    members.append(Member(METRICS, job.updated_at, lambda: iter([metrics])))
    return download(lambda: begun(zipped(members)), f"{run_id}.zip", None)


def _for_zip(rows: list[Artifact]) -> list[Artifact]:
    by_name = {row.name: row for row in rows if row.kind not in NOT_IN_ZIP}
    checkpoints = [row for row in by_name.values() if row.kind == "checkpoint"]
    newest = max(checkpoints, key=lambda row: (row.attempt, row.step or 0, row.name == "checkpoint.pt"), default=None)
    return [row for row in by_name.values() if row.kind != "checkpoint" or row is newest]


def _metrics(run_id: UUID, attempt: int | None) -> bytes:
    """A JSON list of METRICS."""
    lines = [messages.summary(row) for row in queries.metrics_of(run_id, attempt) if row.mean_reward is not None]
    return f"[{','.join(lines)}]".encode()
