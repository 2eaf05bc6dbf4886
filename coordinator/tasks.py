"""The `results` worker: Celery tasks by which nodes hand in outcomes, and the task that ends an attempt.

All are acknowledged late and safe to repeat.
"""

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from celery import Celery
from flask import Flask

from wire import names
from wire.archive import Limits
from wire.facts import BadFact, Outcome
from wire.rejected import Rejected
from wire.uploads import Upload

from . import probe, rejections
from .connections import AWAY
from .errors import Unavailable
from .extensions import db
from .pipeline.receiver import deliver
from .pipeline.reports import AttemptComplete, AttemptLost, FileUploaded, OutcomeReported
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

    @celery.task(name=names.TASK_OUTCOME, **OPTIONS)
    def outcome(message: Any) -> None:
        _patiently(app, lambda: _usable("outcome", message, _outcome))

    @celery.task(name=names.TASK_UPLOADED, bind=True, **OPTIONS)
    def uploaded(self: Any, message: Any) -> None:
        try:
            _patiently(app, lambda: _usable("uploads", message, _uploaded))
        except Unavailable as error:  # S3; the file lies in staging, and no other task than this one knows of it
            raise self.retry(exc=error, countdown=S3_PAUSE_SECONDS, max_retries=None) from error

    @celery.task(name=names.TASK_LOST, **OPTIONS)
    def lost(task_id: str, run_id: str, attempt: int) -> None:
        _patiently(app, lambda: _usable("lost", task_id, _lost))

    @celery.task(name=names.TASK_REJECTED, **OPTIONS)
    def rejected(message: Any) -> None:
        _patiently(app, lambda: _usable(names.TRAIN_QUEUE, message, _rejected))

    @celery.task(name=names.TASK_FINISH, **OPTIONS)
    def finish(run_id: str, attempt: int) -> None:
        # while S3 is away this raises and is rejected: the outbox still has the task and sends it again
        _patiently(app, lambda: deliver(AttemptComplete(*names.attempt_of(names.task_id(run_id, attempt)))))

    @celery.task(name=names.TASK_PROBE, **OPTIONS)
    def answer() -> None:
        _patiently(app, probe.answer)


def register_verification(celery: Celery, app: Flask, storage: Storage, limits: Limits) -> None:
    """Adds the task that looks into uploaded builds. Acknowledged early: it may take longer than a broker waits for an
    acknowledgement, and while its work is not done the outbox sends it again."""

    @celery.task(name=names.TASK_VERIFY, shared=False)
    def verify_build(build_id: str) -> None:
        with app.app_context():
            verify(storage, limits, UUID(build_id))


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


def _outcome(message: Any) -> None:
    if message is not None:  # else the node dropped the task: the attempt was not wanted any more
        deliver(OutcomeReported(Outcome.from_wire(message)))


def _uploaded(message: Any) -> None:
    deliver(FileUploaded(Upload.from_wire(message)))


def _lost(task_id: str) -> None:
    """An errback says no more than which task: whether its attempt is really lost, the record knows."""
    try:
        run_id, attempt = names.attempt_of(task_id)
    except ValueError:
        raise BadFact("The task's id is not one of ours.") from None
    deliver(AttemptLost(run_id, attempt, LOST, is_fault=True))


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
