"""Tasks that were sent and that nobody has done: which of them have left the broker for good, and are sent again.

A row of the outbox goes when its work is done. For anything but a training, some time without that is reason enough.
Trainings rightly wait for hours, so one counts as lost only when it can no longer be in its queue: the queue is empty,
or a training that was first sent after this one has been taken from the same queue. One copy too many does no
harm: a second claim is refused.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from celery import Celery
from sqlalchemy import func, select, update

from wire.names import TASK_TRAIN

from .. import ledger
from ..broker import declare
from ..extensions import db
from ..ledger import RESEND_AFTER, RESEND_TRAINING_AFTER
from ..models import Attempt, Job, Outbox

log = logging.getLogger(__name__)
ON_ITS_WAY = timedelta(seconds=10)
"""A training taken from the queue may be so far from its claim, or from being put back at its old place."""
SENT_AGAIN = (
    "%s of the trainings that were sent to the queue %s have left it, and no node has begun them; one was sent %s "
    "times. They are sent again. If that goes on, look who consumes from the queue: a node that takes trainings and "
    "begins none is to be revoked."
)
_AGAIN = update(Outbox).values(sent_at=None)
_IS_OLD = (Outbox.sent_at < func.now() - RESEND_TRAINING_AFTER, Outbox.task == TASK_TRAIN)


def undone() -> None:
    """Everything but trainings, after a while."""
    _send_again(Outbox.sent_at < func.now() - RESEND_AFTER, Outbox.task != TASK_TRAIN)


def overtaken() -> None:
    """Trainings that a later one has overtaken: messages of one queue and priority come out as they went in."""
    oldest = select(func.min(Outbox.sent_at)).where(*_IS_OLD).scalar_subquery()
    newest_taken = (
        select(Job.queue, Job.priority, func.max(Attempt.task_sent_at).label("sent_at"))
        .join(Job, Job.run_id == Attempt.run_id)
        .where(Attempt.task_sent_at > oldest, Attempt.claimed_at < func.now() - ON_ITS_WAY)
        .group_by(Job.queue, Job.priority)
        .subquery()
    )
    _tell(_send_again(
        *_IS_OLD, Outbox.queue == newest_taken.c.queue, Outbox.priority == newest_taken.c.priority,
        Outbox.sent_at < newest_taken.c.sent_at,
    ))  # fmt: skip


def lost(celery: Celery) -> None:
    """Trainings whose queue is empty. Asks the broker."""
    queues = db.session.scalars(select(Outbox.queue).where(*_IS_OLD).distinct()).all()
    db.session.commit()
    if empty := _empty_ones(celery, queues):
        _tell(_send_again(*_IS_OLD, Outbox.queue.in_(empty)))


def _send_again(*which: Any) -> Sequence[Any]:
    """Returns (queue, times_sent) of each."""
    again = _AGAIN.where(*which).returning(Outbox.queue, Outbox.times_sent)
    rows = db.session.execute(again.execution_options(synchronize_session=False)).all()
    if rows:
        ledger.wake_relay()
    db.session.commit()
    return rows


def _tell(rows: Sequence[Any]) -> None:
    """Once is a node that was killed at that moment, or is very busy, or a broker that has lost its data; more often is
    a node that swallows what it takes."""
    for queue, count in Counter(row.queue for row in rows).items():
        most = max(row.times_sent for row in rows if row.queue == queue)
        log.log(logging.WARNING if most > 1 else logging.INFO, SENT_AGAIN, count, queue, most)


def _empty_ones(celery: Celery, queues: Sequence[str]) -> list[str]:
    """Declares them, too: a queue in which jobs wait for a node that fits must not expire as unused."""
    if not queues:
        return []
    with celery.connection_for_read(heartbeat=0) as connection:
        channel = connection.default_channel
        return [queue for queue in queues if declare(queue, channel).message_count == 0]
