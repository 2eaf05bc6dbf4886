"""What is stuck is somebody's job: this one's. Each sweep looks for work that nobody will come back to, and may run
anywhere, any number of times: everything it does is safe to repeat."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery
from flask import Flask
from sqlalchemy import delete, exists, func, select

from . import artifacts, audit, audit_trail, builds, idempotency, ledger, pulses, rejections, resends
from .audit import Audited
from .dispatching import resending, waiting
from .extensions import db
from .lifecycle import ACTIVE, FINAL
from .models import Artifact, Attempt, DroppedObject, Job
from .parts import parts
from .pipeline.receiver import deliver
from .pipeline.reports import AttemptLost
from .pulses import RECORDER, RECORDER_GAP, WEB
from .storage import Storage

log = logging.getLogger(__name__)
STAGED_GRACE = timedelta(hours=1)
LOOK_AT_STAGING_SECONDS = 300
BATCH = 100
FACTS_GRACE = timedelta(minutes=5)
DELETED = "It was deleted, and has ended."
Loop = Callable[[threading.Event], None]


class Sweeper:
    """Threads of the recorder: what needs PostgreSQL alone must not wait for a broker or an S3 that are away.

    `outcomes_are_in` says whether all outcomes that nodes have handed in by now are recorded.
    """

    def __init__(
        self, app: Flask, celery: Celery, storage: Storage, lease_seconds: float, every_seconds: float,
        outcomes_are_in: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._app, self._celery, self._storage = app, celery, storage
        self._lease, self._gap = timedelta(seconds=lease_seconds), pulses.gap_of(lease_seconds)
        self._every = every_seconds
        self._outcomes_are_in = outcomes_are_in
        self._staging_looked_at = float("-inf")
        self._has_bucket = False

    def loops(self) -> list[Loop]:
        """Each sweeps until its argument is set, in a thread of its own."""
        return [partial(self._run, sweeps) for sweeps in (
            (self.end_silent_attempts,),
            (resending.undone, resending.overtaken, waiting.explain, self.finish_without_late_facts,
             resends.give_up, self.purge_deleted, idempotency.remove_old, rejections.drop_old, self.drop_old_audit),
            (self.resend,),
            (self.make_bucket, self.delete_dropped, self.clear_staging, self.remove_unfinished_uploads),
        )]  # fmt: skip

    def _run(self, sweeps: Sequence[Callable[[], None]], stop: threading.Event) -> None:
        while not stop.is_set():
            for sweep in sweeps:
                self._sweep(sweep)
            stop.wait(self._every)

    def _sweep(self, sweep: Callable[[], None]) -> None:
        try:
            with self._app.app_context():
                audit.act_as(audit.program("sweeper"))
                sweep()
        except Exception as error:  # whatever is away now, the next sweep finds the same work
            log.warning("%s waits: %s", sweep.__name__, str(error).splitlines()[0] if str(error) else error)

    def make_bucket(self) -> None:
        """Once; here and not at the start, for facts are to be recorded while S3 is away."""
        if not self._has_bucket:
            self._storage.ensure_bucket()
            self._has_bucket = True

    def end_silent_attempts(self) -> None:
        """Attempts whose lease is over. Only while the web has been there all that time to take heartbeats, and once
        their outcomes are not to be expected any more."""
        lost = self._silent_attempts()
        if not lost or not self._outcomes_are_in():
            return
        for run_id, number in lost:
            log.warning("Attempt %s of run %s is lost: its node is silent.", number, run_id)
            cause = f"Its node {{node}} was silent for {self._lease.total_seconds():.0f} s."
            deliver(AttemptLost(run_id, number, cause, only_if_silent=True))

    def _silent_attempts(self) -> Sequence[Any]:
        """In one transaction, in which `now` stands still: if PostgreSQL pauses within it, no lease runs meanwhile."""
        web_since = pulses.alive_since(WEB, self._gap)
        if web_since is None:
            return []
        silent = select(Attempt.run_id, Attempt.number).join(
            Job, (Job.run_id == Attempt.run_id) & (Job.attempt == Attempt.number)
        )
        silent = silent.where(
            Attempt.lease_until < func.now(), Attempt.ended_at.is_(None), Attempt.outcome.is_(None),
            Job.state.in_(ACTIVE), func.now() - self._lease > web_since,
        )  # fmt: skip
        found = db.session.execute(silent).all()
        db.session.commit()
        return found

    def resend(self) -> None:
        """Trainings that the broker has lost."""
        resending.lost(self._celery)

    def finish_without_late_facts(self) -> None:
        """Outcomes that still wait for facts which will not come: their node died before it had sent them. Only while
        the recorder has been there all that time to take facts."""
        recorder_since = pulses.alive_since(RECORDER, RECORDER_GAP)
        if recorder_since is None:
            return
        waiting = select(Attempt.run_id, Attempt.number).where(
            Attempt.outcome.is_not(None), Attempt.ended_at.is_(None), Attempt.outcome_at < func.now() - FACTS_GRACE,
            Attempt.facts_recorded < Attempt.outcome["facts_sent"].as_integer(),  # others wait for their ending only
            func.now() - FACTS_GRACE > recorder_since,
        )  # fmt: skip
        found = db.session.execute(waiting).all()
        db.session.commit()
        for run_id, number in found:
            _do_without_late_facts(run_id, number)

    def delete_dropped(self) -> None:
        """Objects that nothing refers to any more; of those that another job is to begin with, once it has ended."""
        needed = exists().where(Artifact.key == DroppedObject.key)
        needed_soon = exists().where(Job.initialize_key == DroppedObject.key, Job.state.not_in(FINAL))
        for key in db.session.scalars(select(DroppedObject.key).where(~needed, ~needed_soon).limit(BATCH)).all():
            self._storage.delete(key)
            db.session.execute(delete(DroppedObject).where(DroppedObject.key == key))
            db.session.commit()

    def clear_staging(self) -> None:
        """Uploads that nobody will take over: their attempt has ended long ago, or there never was one."""
        if time.monotonic() < self._staging_looked_at + LOOK_AT_STAGING_SECONDS:
            return
        self._staging_looked_at = time.monotonic()
        for key in self._storage.keys("staging/", STAGED_GRACE):
            if not _is_awaited(key):
                self._storage.delete(key)
        db.session.commit()

    def purge_deleted(self) -> None:
        """Jobs that were deleted and have ended: their rows; their files are dropped with them."""
        gone = select(Job.run_id).where(Job.deleted_at.is_not(None), Job.state.in_(FINAL)).limit(20)
        for run_id in db.session.scalars(gone).all():
            job = ledger.lock(run_id)  # nobody adds a file meanwhile
            files = db.session.scalars(select(Artifact.key).where(Artifact.run_id == run_id)).all()
            artifacts.drop(files)
            if job:
                audit.note(Audited.JOB_PURGED, run_id, job.team_id, reason=DELETED, files=len(files))
            db.session.execute(delete(Job).where(Job.run_id == run_id))
            db.session.commit()

    def drop_old_audit(self) -> None:
        """What is older than AUDIT_DAYS."""
        audit_trail.drop_old(parts(self._app).config.audit_days)

    def remove_unfinished_uploads(self) -> None:
        """Builds that somebody began to upload and has not finished for a day."""
        builds.remove_unfinished(self._storage)


def _do_without_late_facts(run_id: UUID, number: int) -> None:
    """Looks again once the job is locked: the recorder may have been faster."""
    job, attempt = ledger.lock_attempt(run_id, number) or (None, None)
    if job and attempt and attempt.outcome and attempt.facts_recorded < attempt.outcome["facts_sent"]:
        log.warning("Attempt %s of run %s ends without its last facts.", number, run_id)
        attempt.facts_recorded = attempt.outcome["facts_sent"]
        ledger.finish_if_complete(job, attempt)
    db.session.commit()


def _is_awaited(key: str) -> bool:
    """Whether the attempt that this staged file belongs to is still open."""
    try:
        _, run_id, number, _ = key.split("/")
        its = (Attempt.run_id == UUID(run_id), Attempt.number == int(number))
    except ValueError:
        return False
    return db.session.scalar(select(Attempt.number).where(*its, Attempt.ended_at.is_(None))) is not None
