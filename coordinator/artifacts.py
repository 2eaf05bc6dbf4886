"""The rows of verified files: added once, dropped when newer ones took their place. Each function works inside the
caller's transaction, on a job whose row it has locked."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from wire import facts
from wire.names import artifact_key

from . import audit
from .audit import Audited
from .extensions import db
from .models import Artifact, Attempt, DroppedObject, Job
from .queries import NEWEST

NEWER = "Newer checkpoints have taken its place."


def add(job: Job, attempt: int, said: facts.Artifact) -> bool:
    """Whether it is new. A name keeps its first content: another one's object is dropped."""
    key = artifact_key(job.run_id, attempt, said.name, said.sha256)
    manifest = said.manifest | (_about_model(job, attempt) if said.kind == "model" else {})
    row = {"run_id": job.run_id, "attempt": attempt, "name": said.name, "kind": said.kind, "step": said.step,
           "key": key, "sha256": said.sha256, "size": said.size, "manifest": manifest}  # fmt: skip
    added = insert(Artifact).values(row).on_conflict_do_nothing().returning(Artifact.name)
    if db.session.execute(added).first() is not None:
        audit.note(Audited.FILE_STORED, job.run_id, job.team_id, name=said.name, attempt=attempt, kind=said.kind,
                   sha256=said.sha256, size=said.size)  # fmt: skip
        return True
    if db.session.scalar(select(Artifact.run_id).where(Artifact.key == key)) is None:
        drop([key])
    return False


def leads_nowhere(run_id: UUID, attempt: int, step: int | None) -> bool:
    """Whether a checkpoint comes too late: a later attempt has begun with an earlier one."""
    began = select(Attempt.number).where(Attempt.run_id == run_id, Attempt.number > attempt)
    return db.session.scalar(began.where(Attempt.start_step < (step or 0)).limit(1)) is not None


def prune_checkpoints(job: Job, kept: int) -> None:
    """Keeps the newest so many of the job, and the last one of each attempt."""
    wanted = select(Artifact.attempt, Artifact.key, Artifact.name)
    wanted = wanted.where(Artifact.run_id == job.run_id, Artifact.kind == "checkpoint").order_by(*NEWEST)
    attempts: set[int] = set()
    for place, (attempt, key, name) in enumerate(db.session.execute(wanted).all()):
        if place >= kept and attempt in attempts:
            db.session.execute(delete(Artifact).where(Artifact.key == key))
            drop([key])
            audit.note(Audited.FILE_DROPPED, job.run_id, job.team_id, name=name, attempt=attempt, reason=NEWER)
        attempts.add(attempt)


def drop(keys: Iterable[str]) -> None:
    """The sweeper deletes these objects, once nothing needs them."""
    rows = [{"key": key} for key in keys]
    if rows:
        db.session.execute(insert(DroppedObject).on_conflict_do_nothing(), rows)


def _about_model(job: Job, attempt: int) -> dict[str, Any]:
    """What only the coordinator knows: the models of a job are numbered in the order of its attempts."""
    earlier = select(func.count()).where(
        Artifact.run_id == job.run_id, Artifact.kind == "model", Artifact.attempt < attempt
    )
    version = (db.session.scalar(earlier) or 0) + 1
    return {"version": version, "env_id": job.env_id.partition("@")[0], "env_version": job.env_version}
