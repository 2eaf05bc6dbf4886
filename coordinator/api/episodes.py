"""REST for recorded episodes: which there are, and what the build sent in one."""

import re
from itertools import chain
from uuid import UUID

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from .. import queries, recordings
from ..errors import BadRequest
from ..extensions import db
from ..parts import parts
from ..permissions import Action
from . import auth, listing, views
from .auth import needs
from .described import Bytes, tells
from .forms.results import EpisodeForm
from .listing import wanted_number
from .parameters import OfAttempt, Paged, PageOfEpisodes

blueprint = Blueprint("episodes", __name__, url_prefix="/api/v1/train-jobs/<uuid:run_id>/episodes")
USUAL = 100


@blueprint.get("")
@needs(Action.READ)
@tells(list[EpisodeForm], query=PageOfEpisodes, sends=Paged)
def index(run_id: UUID) -> ResponseReturnValue:
    """The recorded episodes, oldest first, a page at a time."""
    queries.job_of(auth.user(), run_id)
    asked = listing.asked(recordings.ORDERS, "recorded", unasked=USUAL)
    page = recordings.listed(run_id, wanted_number("attempt"), _after(), asked)
    return listing.answer(page, [views.episode(row) for row in page.rows])


@blueprint.get("/<int:episode>")
@needs(Action.READ)
@tells(
    Bytes("application/json-seq", "The messages, each between 0x1E and a line feed."),
    query=OfAttempt,
    refuses={410: ""},
)
def show(run_id: UUID, episode: int) -> Response:
    """The messages of one episode, byte for byte, as a JSON text sequence (RFC 7464)."""
    queries.job_of(auth.user(), run_id)
    its = recordings.episode_of(run_id, min(episode, 2**53), wanted_number("attempt"))
    key, start, size = its.key, its.start, its.size
    db.session.remove()  # no connection is kept while a client takes its time
    content = recordings.chunks_of(parts(current_app).storage, key, start, size)
    first = next(content, b"")  # here a failure can still be said

    return Response(chain([first], content), mimetype="application/json-seq", headers={"Content-Length": str(size)})


def _after() -> tuple[int, int]:
    """The last episode of the page before, as `attempt.number`."""
    text = request.args.get("after", "0.0")
    if not re.fullmatch(r"[0-9]{1,9}\.[0-9]{1,10}", text):
        raise BadRequest(f"after: It must be attempt.number of an episode, as in 1.200, not {text[:80]!r}.")
    attempt, _, episode = text.partition(".")
    return int(attempt), int(episode)
