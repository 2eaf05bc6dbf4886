"""Recorded episodes: what a job may record, which episodes there are, and what the build sent in each."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, tuple_

from wire.recordings import messages

from . import pages
from .errors import BadRequest, NotFound
from .extensions import db
from .models import Artifact, Episode
from .storage import Storage

MEGABYTE = 2**20
CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Listed:
    """An episode as lists have it."""

    attempt: int
    number: int
    instance: int
    messages: int
    size: int
    last_ms: int
    began_at: datetime
    is_complete: bool


def policy(asked: dict[str, Any], most_mb: int) -> dict[str, Any]:
    """What of a job is recorded: every n-th episode, at most so many MB. Raises BadRequest for more than is allowed."""
    if (asked.get("max_mb") or 0) > most_mb:
        raise BadRequest(f"recording.max_mb: At most {most_mb} MB of a job are recorded here, not {asked['max_mb']}.")
    return {"every": asked.get("every", 1), "max_mb": asked.get("max_mb", most_mb)}


def room(run_id: UUID, policy: dict[str, Any], most_mb: int) -> dict[str, Any]:
    """The policy with what is left of its bound, for the job's next attempt."""
    its = {"every": 1, "max_mb": most_mb} | policy
    recorded = select(func.coalesce(func.sum(Artifact.size), 0))
    taken = db.session.scalar(recorded.where(Artifact.run_id == run_id, Artifact.kind == "recording"))
    return its | {"max_mb": max(0, its["max_mb"] - -(-int(taken or 0) // MEGABYTE))}


ORDERS: pages.Columns = {"recorded": (Episode.attempt, Episode.number)}
"""In the order in which they were recorded."""


def listed(run_id: UUID, attempt: int | None, after: tuple[int, int], asked: pages.Asked) -> pages.Page[Listed]:
    """Episodes after (attempt, number); with `attempt`, of that one only."""
    wanted = select(
        Episode.attempt, Episode.number, Episode.instance, func.jsonb_array_length(Episode.times_ms), Episode.size,
        Episode.times_ms[-1].as_integer(), Episode.began_at, Episode.is_complete,
    ).where(Episode.run_id == run_id, tuple_(Episode.attempt, Episode.number) > after)  # fmt: skip
    if attempt is not None:
        wanted = wanted.where(Episode.attempt == attempt)
    found = pages.of_query(wanted, ORDERS, asked, entity=lambda row: row)
    return pages.Page([Listed(*row) for row in found.rows], found.cursor)


def episode_of(run_id: UUID, number: int, attempt: int | None) -> Episode:
    """An episode, of the newest attempt that has one of that number where none is said. Raises NotFound."""
    wanted = select(Episode).where(Episode.run_id == run_id, Episode.number == number)
    if attempt is not None:
        wanted = wanted.where(Episode.attempt == attempt)
    found = db.session.scalars(wanted.order_by(Episode.attempt.desc()).limit(1)).first()
    if found is None:
        of = f"attempt {attempt} of run {run_id}" if attempt is not None else f"run {run_id}"
        raise NotFound(f"There is no recorded episode {number} of {of}.")
    return found


def chunks_of(storage: Storage, key: str, start: int, size: int) -> Iterator[bytes]:
    """What the build sent in an episode, as a JSON text sequence, fetched piece by piece. Raises Unavailable."""
    for begin in range(start, start + size, CHUNK):
        yield storage.read_range(key, begin, min(CHUNK, start + size - begin))


def messages_of(storage: Storage, key: str, start: int, size: int) -> Iterator[bytes]:
    """The build's messages, byte for byte."""
    return messages(chunks_of(storage, key, start, size))
