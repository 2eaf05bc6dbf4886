"""`results`' consumer: what comes on the queue `coord` and is no task of ours is kept in PostgreSQL, and no more."""

from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from flask import Flask

from wire import names
from wire.aside import Aside, SetsAside
from wire.facts import uuid_of, whole
from wire.rejected import Rejected, Unusable
from wire.sender import sender_of

from .rejections import set_aside

LATER = "Only the coordinator itself says when a task on this queue is to be done."


class OutcomeConsumer(SetsAside, Consumer):
    """To be made by `make_consumer`."""

    own: str

    def check(self, message: Any) -> None:
        """Celery holds a task for later in memory, takes further ones in its place, and never gives it back: whoever
        sends many ends this program, again and again. Nodes have no reason to."""
        if message.headers.get("eta") and sender_of(message.properties) != self.own:
            raise Unusable(LATER)


def make_consumer(app: Flask, own: str) -> type[Consumer]:
    """Celery's consumer for the queue `coord`, which keeps in PostgreSQL what it can't use. `own` is the coordinator's
    user at the broker."""

    def keep(some: list[Rejected]) -> None:
        with app.app_context():
            set_aside(*some)

    return type("Consumer", (OutcomeConsumer,), {
        "source": names.OUTCOME_QUEUE, "known": TASKS, "aside": Aside(keep, most=100), "own": own,
    })  # fmt: skip


def _nothing() -> None:
    """A question has no arguments."""


def _message(message: Any) -> None:
    """What is wrong inside it, the task says."""


def _attempt(run_id: str, attempt: int) -> None:
    uuid_of(run_id)
    whole(attempt, "attempt", 1)


def _lost(task_id: str, run_id: str, attempt: int) -> None:
    if not isinstance(task_id, str):
        raise Unusable("A task's id must be text.")


def _build(build_id: str) -> None:
    uuid_of(build_id)


def _without_followers(check: Callable[..., None]) -> Callable[[list[Any], dict[str, Any], dict[str, Any]], None]:
    """`results` may write to every queue: nobody sends it tasks to pass on."""

    def checked(args: list[Any], kwargs: dict[str, Any], embedded: dict[str, Any]) -> None:
        if any(embedded.values()):
            raise Unusable("A task on this queue may not ask for further tasks.")
        check(*args, **kwargs)

    return checked


CHECKS: dict[str, Callable[..., None]] = {
    names.TASK_OUTCOME: _message, names.TASK_UPLOADED: _message, names.TASK_REJECTED: _message,
    names.TASK_LOST: _lost, names.TASK_FINISH: _attempt, names.TASK_VERIFY: _build,
    names.TASK_PROBE: _nothing,
}  # fmt: skip
TASKS = {name: _without_followers(check) for name, check in CHECKS.items()}
