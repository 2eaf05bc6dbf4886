"""What a node's token is good for: the attempts that the node holds, and what those need. Reads only.

What another node holds is answered as if it did not exist.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select

from . import queries
from .errors import Conflict, NotFound
from .extensions import db
from .models import Artifact, Attempt, Build, Job


def checkpoint(node_id: UUID, run_id: UUID) -> Artifact:
    """The newest one of a run that this node trains at the moment, or that one of its trainings begins with.

    Raises NotFound.
    """
    needed = _open_attempts(node_id).where(or_(Job.run_id == run_id, Job.initialize_from == run_id))
    found = queries.newest_checkpoint(run_id) if db.session.scalar(needed.limit(1)) else None
    if found is None:
        raise NotFound(f"No training of yours needs a checkpoint of run {run_id}.")
    return found


def build(node_id: UUID, build_id: UUID) -> Build:
    """A build that this node trains in at the moment. Raises Conflict for any other."""
    if db.session.scalar(_open_attempts(node_id).where(Job.build_id == build_id).limit(1)):
        return db.session.get_one(Build, build_id)
    raise Conflict(f"You hold no attempt of a job that trains in build {build_id}.")


def require_known_build(node_id: UUID, build_id: UUID) -> None:
    """Raises NotFound for a build that this node was never given: it has nothing to say of it. Its attempt may have
    ended while it looked."""
    given = select(Attempt.number).join(Job, Job.run_id == Attempt.run_id)
    if db.session.scalar(given.where(Attempt.node_id == node_id, Job.build_id == build_id).limit(1)) is None:
        raise NotFound(f"You were not given a build {build_id}.")


def _open_attempts(node_id: UUID) -> Select[Any]:
    return (
        select(Attempt.number)
        .join(Job, (Job.run_id == Attempt.run_id) & (Job.attempt == Attempt.number))
        .where(Attempt.node_id == node_id, Attempt.ended_at.is_(None))
    )
