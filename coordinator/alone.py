"""Of several copies of a task one works at a time: a lock in PostgreSQL, which ends with its process."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select

from .extensions import db


@contextmanager
def alone(with_what: str) -> Iterator[bool]:
    """Whether nobody else is at it. No transaction stays open meanwhile."""
    key = func.hashtextextended(with_what, 0)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        is_alone = bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
        try:
            yield is_alone
        finally:
            if is_alone:
                connection.execute(select(func.pg_advisory_unlock(key)))
