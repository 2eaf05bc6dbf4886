"""What comes on a queue of trainings and is none: it is handed to the coordinator, and no slot is taken for it."""

import time
from typing import Any

from celery import Celery
from celery.worker import state
from celery.worker.consumer import Consumer

from wire import names
from wire.aside import Aside, SetsAside
from wire.facts import uuid_of, whole
from wire.rejected import Rejected, Unusable

from .queues import until_let_in, wait_for_all


def make_consumer(celery: Celery) -> type[Consumer]:
    """Celery's consumer for the queues of trainings."""

    def keep(some: list[Rejected]) -> None:
        for rejected in some:
            celery.send_task(names.TASK_REJECTED, args=[rejected.to_wire()])

    class Patient(Consumer):
        def connect(self) -> Any:
            connection = until_let_in(super().connect, _pause)
            wait_for_all(connection, _pause)
            return connection

    return type("TrainingConsumer", (SetsAside, Patient), {
        "source": names.TRAIN_QUEUE, "known": {names.TASK_TRAIN: check}, "aside": Aside(keep),
    })  # fmt: skip


def _pause(seconds: float) -> None:
    """Ends the worker where it is to end meanwhile."""
    state.maybe_shutdown()
    time.sleep(seconds)


def check(args: list[Any], kwargs: dict[str, Any], embedded: dict[str, Any]) -> None:
    """Raises ValueError or TypeError for what is no order to train."""
    _attempt(*args, **kwargs)
    for name in ("callbacks", "errbacks"):
        its = embedded.get(name) or []
        if not isinstance(its, list) or not all(isinstance(one, dict) for one in its):
            raise Unusable(f"A training's {name} must be a list of tasks.")


def _attempt(run_id: Any, attempt: Any) -> None:
    uuid_of(run_id)
    whole(attempt, "attempt", 1)
