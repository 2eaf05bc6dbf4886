"""The database's part for a file that came while its attempt runs: the row, and the event for whoever watches."""

import logging

from .. import artifacts, ledger, messages
from ..extensions import db
from ..ledger import Told
from ..lifecycle import JobState
from ..models import Attempt, Job
from .record import reject
from .reports import FileUploaded

log = logging.getLogger(__name__)


def record(checkpoints_kept: int, report: FileUploaded) -> None:
    """Keeps a verified file with its attempt. A repeat inserts nothing.

    A checkpoint that comes when a later attempt has begun before it is dropped: nobody may ever go on from there.
    """
    if report.key is None:
        return
    said = report.upload
    found = ledger.lock_attempt(said.run_id, said.attempt)
    if found is None:
        reject("uploads", f"There is no attempt {said.attempt} of run {said.run_id}.", str(said.to_wire()))
        artifacts.drop([report.key])
    elif _is_late(report):
        log.info("A checkpoint of attempt %s of run %s came too late.", said.attempt, said.run_id)
        artifacts.drop([report.key])
    elif artifacts.add(found[0], said.attempt, said.artifact) and said.artifact.kind == "checkpoint":
        artifacts.prune_checkpoints(found[0], checkpoints_kept)
        _tell(*found, report)
    db.session.commit()


def _is_late(report: FileUploaded) -> bool:
    its, said = report.upload.artifact, report.upload
    return its.kind == "checkpoint" and artifacts.leads_nowhere(said.run_id, said.attempt, its.step)


def _tell(job: Job, attempt: Attempt, report: FileUploaded) -> None:
    """Not once the job has ended, for its end is the last event, and not of an attempt that is history."""
    step = report.upload.artifact.step
    if step is None or job.attempt != attempt.number or attempt.ended_at or JobState(job.state).is_final:
        return
    job.last_seq += 1
    told = Told(job.run_id, job.last_seq, False, messages.checkpoint(job.last_seq, attempt.number, step))
    ledger.store([told])
    report.told.append(told)
