"""The `results` worker: Celery tasks by which nodes hand in outcomes, and the task that ends an attempt.

All are acknowledged late and safe to repeat.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery
from flask import Flask

from wire import names
from wire.archive import Limits
from wire.facts import BadFact, Outcome
from wire.rejected import Rejected
from wire.sender import sender_of
from wire.uploads import Upload

from . import broker, probe, rejections
from .connections import AWAY
from .errors import Unavailable
from .extensions import db
from .pipeline.receiver import deliver
from .pipeline.reports import AttemptComplete, AttemptLost, FileUploaded, OutcomeReported
from .senders import Senders
from .storage import Storage
from .verification import verify

log = logging.getLogger(__name__)
LOST = "Its worker process died on node {node}."
S3_PAUSE_SECONDS = 10
OPTIONS: dict[str, Any] = {
    "acks_late": True, "reject_on_worker_lost": True, "acks_on_failure_or_timeout": False,
    "shared": False,  # of this Celery app alone: another app of the same process has another database
}  # fmt: skip


def register(celery: Celery, app: Flask) -> None:
    """Adds the tasks of the queue `coord` to the Celery app."""

    senders = Senders(broker.user_of(celery.conf.broker_url))

    @celery.task(name=names.TASK_OUTCOME, bind=True, **OPTIONS)
    def outcome(self: Any, message: Any) -> None:
        _patiently(app, lambda: _usable("outcome", message, partial(_outcome, senders, self)))

    @celery.task(name=names.TASK_UPLOADED, bind=True, **OPTIONS)
    def uploaded(self: Any, message: Any) -> None:
        try:
            _patiently(app, lambda: _usable("uploads", message, partial(_uploaded, senders, self)))
        except Unavailable as error:  # S3; the file lies in staging, and no other task than this one knows of it
            raise self.retry(exc=error, countdown=S3_PAUSE_SECONDS, max_retries=None) from error

    @celery.task(name=names.TASK_LOST, bind=True, **OPTIONS)
    def lost(self: Any, task_id: str, run_id: str, attempt: int) -> None:
        _patiently(app, lambda: _usable("lost", task_id, partial(_lost, senders, self)))

    @celery.task(name=names.TASK_REJECTED, **OPTIONS)
    def rejected(message: Any) -> None:
        _patiently(app, lambda: _usable(names.TRAIN_QUEUE, message, _rejected))

    @celery.task(name=names.TASK_FINISH, bind=True, **OPTIONS)
    def finish(self: Any, run_id: str, attempt: int) -> None:
        # while S3 is away this raises and is rejected: the outbox still has the task and sends it again
        its = names.attempt_of(names.task_id(run_id, attempt))
        _patiently(app, lambda: deliver(AttemptComplete(*its)) if _is_ours(senders, self) else None)

    @celery.task(name=names.TASK_PROBE, bind=True, **OPTIONS)
    def answer(self: Any) -> None:
        _patiently(app, lambda: probe.answer() if _is_ours(senders, self) else None)


def register_verification(celery: Celery, app: Flask, storage: Storage, limits: Limits) -> None:
    """Adds the task that looks into uploaded builds. Acknowledged early: it may take longer than a broker waits for an
    acknowledgement, and while its work is not done the outbox sends it again."""
    senders = Senders(broker.user_of(celery.conf.broker_url))

    @celery.task(name=names.TASK_VERIFY, bind=True, shared=False)
    def verify_build(self: Any, build_id: str) -> None:
        with app.app_context():
            if _is_ours(senders, self):
                verify(storage, limits, UUID(build_id))


def _is_ours(senders: Senders, task: Any) -> bool:
    """Of what only the coordinator sends to itself; else the message is set aside."""
    if task.request.called_directly:
        return True  # by this process, without a message
    why = senders.why_not_ours(sender_of(task.request.properties))
    if why:
        rejections.set_aside(Rejected.of(task.name, why, task.request.args or task.request.kwargs))
    return why is None


def _usable(source: str, message: Any, work: Callable[[Any], None]) -> None:
    """Does the work, or sets the message aside: what is wrong with it would be as wrong the next time."""
    try:
        work(message)
    except (*AWAY, Unavailable):
        raise
    except Exception as error:
        if not isinstance(error, BadFact):
            log.exception("A message can't be used and is set aside.")
        db.session.rollback()
        rejections.set_aside(Rejected.of(source, str(error) or repr(error), message))


def _outcome(senders: Senders, task: Any, message: Any) -> None:
    if message is not None:  # else the node dropped the task: the attempt was not wanted any more
        said = Outcome.from_wire(message)
        _require(senders, task, said.run_id, said.attempt)
        deliver(OutcomeReported(said))


def _uploaded(senders: Senders, task: Any, message: Any) -> None:
    said = Upload.from_wire(message)
    _require(senders, task, said.run_id, said.attempt)
    deliver(FileUploaded(said))


def _lost(senders: Senders, task: Any, task_id: str) -> None:
    """An errback says no more than which task: whether its attempt is really lost, the record knows."""
    try:
        run_id, attempt = names.attempt_of(task_id)
    except ValueError:
        raise BadFact("The task's id is not one of ours.") from None
    _require(senders, task, run_id, attempt)
    deliver(AttemptLost(run_id, attempt, LOST, is_fault=True))


def _require(senders: Senders, task: Any, run_id: UUID, attempt: int) -> None:
    """Raises BadFact where the message is not from the node that holds the attempt."""
    if why := senders.why_not(run_id, attempt, sender_of(task.request.properties)):
        raise BadFact(why)


def _rejected(message: Any) -> None:
    rejections.set_aside(Rejected.from_wire(names.TRAIN_QUEUE, message))


def _patiently(app: Flask, work: Callable[[], None]) -> None:
    """Does the work once PostgreSQL is there: an outcome is too precious for a limited number of tries."""
    while True:
        try:
            with app.app_context():
                return work()
        except AWAY as error:
            log.warning("PostgreSQL is away; an outcome waits: %s", str(error).splitlines()[0])
            time.sleep(1)
