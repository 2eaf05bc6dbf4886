"""Celery's signals on a node: take no message while full, and tell the coordinator that the node is there.

With early acknowledgement Celery would fetch the next message while all slots are busy and hold it unacknowledged for
as long as the training lasts: the broker's timeout would then stop a healthy worker, and the job would wait here while
other nodes are free. So the node stops consuming when its last slot is taken and begins again when one is free.
"""

import logging
import threading
from typing import Any

from celery import Celery, bootsteps, signals
from celery.worker import state

from wire.names import TRAIN_QUEUE

from .bridge.keeper import Keeper
from .central import Away, Central, Refused
from .config import Config
from .leftovers import clear

log = logging.getLogger(__name__)
HELLO_SECONDS, AWAY_SECONDS = 5.0, 1.0
LOOK_SECONDS = 0.1


def connect(celery: Celery, config: Config) -> None:
    """Connects everything to the worker that is about to start."""
    signals.task_received.connect(stop_when_full, weak=False)
    celery.steps["consumer"].add(ResumeWhenFree)
    bridge = Keeper(config)

    @signals.worker_init.connect(weak=False)
    def begin(**_: Any) -> None:
        bridge.start()

    @signals.worker_shutdown.connect(weak=False)
    def end(**_: Any) -> None:
        bridge.stop()

    @signals.worker_ready.connect(weak=False)
    def ready(**_: Any) -> None:
        threading.Thread(target=_greet, args=(config,), name="hello", daemon=True).start()
        threading.Thread(target=clear, args=(celery, config), name="leftovers", daemon=True).start()


def stop_when_full(sender: Any = None, **_: Any) -> None:
    """A message has come in (it is not yet counted): is it the last that fits? `sender` is the worker's consumer."""
    is_full = len(state.reserved_requests) + 1 >= sender.pool.num_processes
    if is_full and sender.task_consumer.consuming_from(TRAIN_QUEUE):
        sender.cancel_task_queue(TRAIN_QUEUE)


class ResumeWhenFree(bootsteps.StartStopStep):
    """Looks several times a second whether a slot has become free."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        self._timer: Any = None
        super().__init__(parent, **options)

    def start(self, parent: Any) -> None:
        self._timer = parent.timer.call_repeatedly(LOOK_SECONDS, self._look, (parent,))

    def stop(self, parent: Any) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self, consumer: Any) -> None:
        is_stopping = state.should_stop is not None or bool(state.should_terminate)
        is_free = len(state.reserved_requests) < consumer.pool.num_processes
        if is_free and not is_stopping and not consumer.task_consumer.consuming_from(TRAIN_QUEUE):
            consumer.add_task_queue(TRAIN_QUEUE)


def _greet(config: Config) -> None:
    central, pause = Central(config.coordinator_url, config.node_token), threading.Event()
    while True:
        seconds = HELLO_SECONDS
        try:
            central.hello(config.node_slots)
        except Away as error:
            log.warning("The coordinator is away: %s", error)
            seconds = AWAY_SECONDS
        except Refused as error:
            log.error("The coordinator refuses this node: %s", error)
        pause.wait(seconds)
