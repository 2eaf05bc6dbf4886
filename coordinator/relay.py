"""The outbox to RabbitMQ: what a transaction promised is published, confirmed, and repeated until it is.

PostgreSQL's NOTIFY wakes it; a look every second finds what a lost notification left. A row is marked as sent here and
deleted by whoever has done what it asks, so the sweeper can send again what the broker has lost.
"""

import logging
import select
import threading
from typing import Any

from celery import Celery
from flask import Flask
from sqlalchemy import func
from sqlalchemy import select as sql_select

from wire.names import TASK_TRAIN

from . import broker
from .extensions import db
from .ledger import OUTBOX_CHANNEL
from .models import Outbox

log = logging.getLogger(__name__)
BATCH = 100


class Relay:
    """One thread of the recorder. Several recorders share the work: rows are locked while they are sent."""

    def __init__(self, app: Flask, celery: Celery) -> None:
        self._app, self._celery = app, celery

    def run(self, stop: threading.Event) -> None:
        """Sends until `stop`. PostgreSQL or RabbitMQ away: tries again, for as long as it takes."""
        while not stop.is_set():
            try:
                with self._app.app_context():
                    self._listen(stop)
            except Exception as error:  # whichever of the two is away, the rows are still there
                log.warning("The outbox waits: %s", str(error).splitlines()[0] if str(error) else repr(error))
                stop.wait(1)

    def _listen(self, stop: threading.Event) -> None:
        connection = db.engine.raw_connection()
        try:
            raw: Any = connection.driver_connection
            raw.set_session(autocommit=True)
            raw.cursor().execute(f"LISTEN {OUTBOX_CHANNEL}")
            while not stop.is_set():
                while self.send_batch():
                    pass
                select.select([raw], [], [], 1.0)
                raw.poll()
                raw.notifies.clear()
        finally:
            connection.invalidate()  # it listens: it is no good for the pool
            connection.close()

    def send_batch(self) -> int:
        """Sends up to a hundred waiting tasks and returns how many there were."""
        waiting = sql_select(Outbox).where(Outbox.sent_at.is_(None)).order_by(Outbox.id).limit(BATCH)
        rows = db.session.scalars(waiting.with_for_update(skip_locked=True)).all()
        try:
            for row in rows:
                self._send(row)
                row.sent_at = func.now()
        finally:
            db.session.commit()  # those that were sent stay sent, also when the next one failed
            db.session.remove()
        return len(rows)

    def _send(self, row: Outbox) -> None:
        if row.task == TASK_TRAIN:
            broker.send_training(self._celery, row.run_id, row.attempt, row.priority)
        else:
            broker.send_finish(self._celery, row.run_id, row.attempt)
