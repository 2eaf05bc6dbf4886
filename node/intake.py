"""Which trainings this node takes: from the queues that the coordinator has named, while a slot is free.

With early acknowledgement Celery would fetch the next message while all slots are busy and hold it unacknowledged for
as long as the training lasts: the broker's timeout would then stop a healthy worker, and the job would wait here while
other nodes are free. So the node stops consuming when its last slot is taken and begins again when one is free.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps, signals
from celery.worker import state
from celery.worker.strategy import default as usual_strategy

from wire.names import TRAIN_QUEUE

from .drain import Drain
from .queues import is_there, train_queue

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.1
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
"""Between two looks whether a queue is there: RabbitMQ logs each that is in vain, and one may be missing for days."""


class Intake:
    """What may come in; written by the thread that says hello, read by Celery's event loop."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self.queues: frozenset[str] = frozenset({TRAIN_QUEUE})
        self.full: str | None = None
        """Why nothing is taken although a slot may be free, in a sentence."""

    def connect(self, celery: Celery) -> None:
        """Rules over the worker that is about to start."""
        signals.celeryd_after_setup.connect(begin_without_queues, weak=False)
        signals.task_received.connect(stop_when_full, weak=False)
        celery.steps["consumer"].add(type("Look", (TakeWhileFree,), {"intake": self}))

    def wanted(self, consumer: Any) -> frozenset[str]:
        """The queues to consume from at this moment."""
        is_stopping = state.should_stop is not None or bool(state.should_terminate)
        is_closed = is_stopping or self._drain.how or self.full
        return frozenset() if is_closed or not has_free_slot(consumer) else self.queues


def begin_without_queues(instance: Any = None, **_: Any) -> None:
    """Celery itself consumes from nothing: what is there to consume from is looked for again and again."""
    instance.app.amqp.queues.deselect([TRAIN_QUEUE])


def has_free_slot(consumer: Any, coming: int = 0) -> bool:
    """Whether the worker can begin another training at once, when so many are about to be counted."""
    return bool(len(state.reserved_requests) + coming < consumer.pool.num_processes)


def stop_when_full(sender: Any = None, **_: Any) -> None:
    """A message has come in (it is not yet counted): is it the last that fits? `sender` is the worker's consumer."""
    if not has_free_slot(sender, coming=1):
        consume_from(sender, frozenset())


def consume_from(consumer: Any, wanted: frozenset[str]) -> None:
    """Consumes from these queues of trainings and no others."""
    queues, consuming_from = consumer.app.amqp.queues, consumer.task_consumer.consuming_from
    for name in [name for name in queues if name.startswith(TRAIN_QUEUE)]:
        if name not in wanted and consuming_from(name):
            consumer.cancel_task_queue(name)
    for name in sorted(wanted):
        if not consuming_from(name):
            queues.add(train_queue(name))
            consumer.add_task_queue(name)


class TakeWhileFree(bootsteps.StartStopStep):
    """Looks several times a second what is to be consumed from."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    intake: Intake

    def __init__(self, parent: Any, **options: Any) -> None:
        self._timer: Any = None
        self._look_again: dict[str, tuple[float, float]] = {}
        """Of each queue that was missing: when, and after which pause."""
        super().__init__(parent, **options)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(LOOK_SECONDS, self._look, (parent,))

    def stop(self, parent: Any) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self, consumer: Any) -> None:
        wanted = self.intake.wanted(consumer)
        consume_from(consumer, frozenset(name for name in wanted if self._is_there(consumer, name)))

    def _is_there(self, consumer: Any, name: str) -> bool:
        """To consume from a queue that is not there would end the connection: the coordinator makes it with the first
        job that waits in it."""
        if consumer.task_consumer.consuming_from(name):
            return True
        when, pause = self._look_again.get(name, (0.0, FIRST_PAUSE_SECONDS))
        if time.monotonic() < when:
            return False
        if is_there(consumer.connection, name):
            self._look_again.pop(name, None)
            return True
        self._look_again[name] = time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)
        return False


def strategy(task: Any, app: Celery, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Celery's own way of taking a message, but one too many goes back at once: from several queues, each with its
    own prefetching (as RabbitMQ 4 has it), more may be on their way than there are slots."""
    take = usual_strategy(task, app, consumer, **options)

    def take_if_free(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **others: Any) -> Any:
        if has_free_slot(consumer):
            return take(message, body, ack, reject, callbacks, **others)
        log.info("A training goes back to its queue: all slots are taken.")
        return reject(log, consumer.connection_errors, requeue=True)

    return take_if_free
