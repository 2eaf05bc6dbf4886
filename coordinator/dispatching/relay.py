"""The outbox to RabbitMQ: what a transaction promised is published, confirmed, and repeated until it is.

PostgreSQL's NOTIFY wakes it; a look every second finds what a lost notification left. A row is marked as sent here and
deleted by whoever has done what it asks, so the sweeper can send again what the broker has lost. Trainings
are held back until nodes have room for them (coordinator/dispatching/dispatch.py); everything else goes at once.
"""

import logging
import select
import threading
from typing import Any

from celery import Celery
from flask import Flask
from sqlalchemy import bindparam, func, text, update
from sqlalchemy import select as sql_select

from wire.names import TASK_TRAIN, TASK_VERIFY

from .. import broker
from ..extensions import db
from ..ledger import OUTBOX_CHANNEL
from ..models import Outbox
from . import dispatch

log = logging.getLogger(__name__)
BATCH = 100
GATHER_SECONDS = 0.005
"""The first task goes at once; while more come, they are sent together."""
IDLE_SECONDS = 0.02


class Relay:
    """One thread of the recorder. Several recorders share the work: rows are locked while they are sent."""

    def __init__(self, app: Flask, celery: Celery) -> None:
        self._app, self._celery = app, celery

    def run(self, stop: threading.Event) -> None:
        """Sends until `stop`. PostgreSQL or RabbitMQ away: tries again, for as long as it takes."""
        while not stop.is_set():
            try:
                with self._app.app_context(), broker.ConfirmedSender(self._celery) as sender:
                    self._listen(stop, sender)
            except Exception as error:  # whichever of the two is away, the rows are still there
                log.warning("The outbox waits: %s", str(error).splitlines()[0] if str(error) else repr(error))
                stop.wait(1)

    def _listen(self, stop: threading.Event, sender: broker.ConfirmedSender) -> None:
        connection = db.engine.raw_connection()
        try:
            raw: Any = connection.driver_connection
            raw.set_session(autocommit=True)
            raw.cursor().execute(f"LISTEN {OUTBOX_CHANNEL}")
            while not stop.is_set():
                while self.send_batch(sender):
                    stop.wait(GATHER_SECONDS)
                stop.wait(IDLE_SECONDS)  # or many submits that must wait anyway would keep it looking
                select.select([raw], [], [], 1.0)
                raw.poll()
                raw.notifies.clear()
        finally:
            connection.invalidate()  # it listens: it is no good for the pool
            connection.close()

    def send_batch(self, sender: broker.ConfirmedSender) -> int:
        """Sends up to a hundred tasks and as many trainings, and returns how many there were."""
        with db.engine.begin() as connection:
            rows = [*connection.execute(_TASKS), *dispatch.due(connection)]
            for row in rows:
                self._send(row, sender)
            sender.wait()
            if rows:
                connection.execute(_SENT, {"ids": [row.id for row in rows]})
                dispatch.note(connection, rows)
        return len(rows)

    def _send(self, row: Any, sender: broker.ConfirmedSender) -> None:
        if row.task == TASK_TRAIN:
            broker.send_training(self._celery, sender.producer, row.run_id, row.attempt, row.priority, row.queue)
        elif row.task == TASK_VERIFY:
            broker.send_verify(self._celery, sender.producer, row.build_id)
        else:
            broker.send_finish(self._celery, sender.producer, row.run_id, row.attempt)
        sender.sent()


_TASKS = (
    sql_select(*Outbox.__table__.c)
    .where(Outbox.sent_at.is_(None), text("task <> 'train.run'"))
    .order_by(Outbox.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_SENT = (
    update(Outbox)
    .where(Outbox.id.in_(bindparam("ids", expanding=True)))
    .values(
        sent_at=func.now(),
        first_sent_at=func.coalesce(Outbox.first_sent_at, func.now()),
        times_sent=Outbox.times_sent + 1,
    )
)
