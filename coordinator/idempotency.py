"""Requests that carry a key of the client's own: sent again, they are answered with the same job and start no other.

The key is stored in the transaction that makes the job, so whoever repeats a request finds both or neither.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from . import queries
from .connections import Executes
from .errors import Conflict, KeyReused, NotFound
from .extensions import db
from .models import IdempotencyKey, Job
from .permissions import Caller

KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Key:
    """A user's own name for one request, and what that request asks for."""

    who: Caller
    name: str
    digest: str


class Taken(Exception):
    """Another request with this key was faster by a moment: its job is the answer to this one, too."""


def key_for(who: Caller, name: str, asked: dict[str, Any]) -> Key:
    """`asked` as read, without what was not said: how the client spells its JSON makes no difference. The same from
    another of the user's teams is another request."""
    text = json.dumps([str(who.team_id), asked], sort_keys=True)
    return Key(who, name, sha256(text.encode()).hexdigest())


def take(transaction: Executes, key: Key, run_id: UUID) -> None:
    """Stores the key within the transaction that makes or changes the job. Waits for another one that does the same.

    Raises Taken.
    """
    row = insert(IdempotencyKey).values(owner_id=key.who.user_id, key=key.name, digest=key.digest, run_id=run_id)
    if transaction.execute(row.on_conflict_do_nothing().returning(IdempotencyKey.key)).first() is None:
        raise Taken


def job_of(key: Key) -> Job | None:
    """The job that this key has brought; None for a key that is new.

    Raises KeyReused where it asked for something else, Conflict where the job was deleted.
    """
    its = (IdempotencyKey.owner_id == key.who.user_id, IdempotencyKey.key == key.name)
    with db.engine.connect() as connection:  # given back at once: whoever has the key may wait for a connection
        row = connection.execute(select(IdempotencyKey.digest, IdempotencyKey.run_id).where(*its)).first()
    if row is None:
        return None
    if row.digest != key.digest:
        raise KeyReused(f"The Idempotency-Key {key.name!r} came with another request before. Repeat that request as it "
                        f"was, or use a new key for a new one.")  # fmt: skip
    try:
        return queries.job_of(key.who, row.run_id)
    except NotFound:
        raise Conflict(
            f"The job of the Idempotency-Key {key.name!r} was deleted. Use a new key for a new job."
        ) from None


def remove_old() -> None:
    """Keys of requests that nobody repeats any more."""
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < func.now() - KEPT))
    db.session.commit()
