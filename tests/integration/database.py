"""What lies in the database of a test, and what waits there."""

from typing import Any

from flask import Flask
from sqlalchemy import text

from coordinator.extensions import db
from services.platform import wait_until


def rows(app: Flask, statement: str, **values: Any) -> list[Any]:
    """The rows of a statement, which is committed; a single column comes as plain values."""
    with app.app_context(), db.engine.begin() as connection:
        found = connection.execute(text(statement), values).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def change(app: Flask, statement: str, **values: Any) -> None:
    """Commits a statement that returns nothing."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text(statement), values)


def outbox(app: Flask) -> list[tuple[str, int]]:
    """(task, attempt) of what is still to be done."""
    return rows(app, "SELECT task, attempt FROM outbox ORDER BY id")


def job(app: Flask, run_id: str) -> Any:
    """(state, attempt, error) of a job."""
    return rows(app, "SELECT state, attempt, error FROM jobs WHERE run_id = :run_id", run_id=run_id)[0]


def seqs(app: Flask, run_id: str) -> list[int]:
    """The numbers of the run's events."""
    return rows(app, "SELECT seq FROM events WHERE run_id = :run_id ORDER BY seq", run_id=run_id)


def until_somebody_waits_for_a_lock(app: Flask) -> None:
    """Until another transaction of this database is held up by one of ours."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    wait_until(lambda: rows(app, waiting) != [0], 10, "a transaction that waits for a lock")
