"""REST for what is kept of the logs of trainer and environment."""

from uuid import UUID

from flask import Blueprint, Response, request

from wire.facts import LOG_SOURCES

from .. import logs, queries
from ..errors import BadRequest
from ..permissions import Action
from . import auth
from .auth import needs
from .described import Bytes, tells
from .listing import wanted_number
from .parameters import OfLog

blueprint = Blueprint("logs", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>")


@blueprint.get("/logs")
@needs(Action.READ)
@tells(Bytes("text/plain", "Lines of the log."), query=OfLog)
def show(run_id: UUID) -> Response:
    """The log of the current attempt, or of `attempt`; of both sources as they came, or of one `source`."""
    job = queries.job_of(auth.user(), run_id)
    source = request.args.get("source")
    if source is not None and source not in LOG_SOURCES:
        raise BadRequest(f"source: It must be one of {', '.join(LOG_SOURCES)}, not {source[:80]!r}.")
    return Response(logs.text(run_id, wanted_number("attempt") or job.attempt, source), mimetype="text/plain")
