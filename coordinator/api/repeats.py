"""The header Idempotency-Key: a repeated request is answered with the job that it has made before."""

import re
from collections.abc import Callable
from typing import Any

from flask import jsonify, request
from flask.typing import ResponseReturnValue

from .. import idempotency, queries
from ..errors import BadRequest
from ..extensions import db
from ..permissions import Caller
from . import auth, views

HEADER = "Idempotency-Key"
NAME = re.compile(r"[\x20-\x7e]{1,200}")


def once(
    who: Caller, asked: dict[str, Any], make: Callable[[idempotency.Key | None], ResponseReturnValue]
) -> ResponseReturnValue:
    """What `make` answers, or the job that the same request has made before. Without the header, simply `make`."""
    name = request.headers.get(HEADER)
    if name is None:
        return make(None)
    if not NAME.fullmatch(name):
        raise BadRequest(f"{HEADER} must be 1 to 200 printable characters of ASCII.")
    key = idempotency.key_for(who, name, asked)
    try:
        return _answer(key) or make(key)
    except idempotency.Taken:
        db.session.rollback()
        return _answer(key) or make(key)  # nothing is found where that job was deleted with its key


def _answer(key: idempotency.Key) -> ResponseReturnValue | None:
    job = idempotency.job_of(key)
    return jsonify(views.job(job, auth.owner_of(job), queries.newest_artifact(job.run_id, "model"))) if job else None
