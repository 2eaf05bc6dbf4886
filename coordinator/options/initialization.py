"""Jobs that begin with the weights of another: which checkpoint that is, pinned when the job is submitted."""

from dataclasses import replace

from .. import queries
from ..errors import BadRequest, Conflict
from ..extensions import db
from ..jobs import Request
from ..permissions import Caller


def pinned(who: Caller, request: Request) -> Request:
    """With key and hash of the newest checkpoint of `initialize_from`, if the request names one.

    Raises NotFound for a job that the caller may not see, BadRequest for one of another behaviour, Conflict for one
    without a checkpoint.
    """
    if request.initialize_from is None:
        return request
    other = queries.job_of(who, request.initialize_from)
    if (other.behaviour, other.trainer) != (request.behaviour, request.trainer):
        raise BadRequest(f"initialize_from: run {other.run_id} trains {other.behaviour} with {other.trainer}, "
                         f"not {request.behaviour} with {request.trainer}.")  # fmt: skip
    checkpoint = queries.newest_checkpoint(other.run_id)
    if checkpoint is None:
        raise Conflict(f"initialize_from: run {other.run_id} has no checkpoint to begin with; it is {other.state}.")
    its = replace(request, initialize_key=checkpoint.key, initialize_sha256=checkpoint.sha256)
    db.session.close()  # the job's statement takes a connection of its own
    return its
