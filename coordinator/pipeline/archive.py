"""S3's part of the pipeline: a finished attempt's uploads go to their final keys, verified, before anybody is told."""

import logging

from sqlalchemy.dialects.postgresql import insert

from wire import facts
from wire.names import artifact_key, staging_key

from .. import ledger
from ..errors import RejectedArtifact
from ..extensions import db
from ..models import Artifact, Attempt
from ..storage import Storage
from .reports import AttemptComplete

log = logging.getLogger(__name__)


def keep(storage: Storage, report: AttemptComplete) -> None:
    """Keeps what the attempt uploaded. A success whose model is missing or damaged becomes a failure that says so.

    Raises Unavailable while S3 is away: the outbox sends the same task again.
    """
    attempt = db.session.get(Attempt, (report.run_id, report.attempt), populate_existing=True)
    if attempt is None or attempt.outcome is None or attempt.ended_at is not None:
        return
    said = facts.Outcome.from_wire(attempt.outcome)
    db.session.commit()  # no transaction stays open while S3 works
    kept, problem = [], None
    for artifact in said.artifacts:
        try:
            kept.append(_keep_one(storage, said, artifact))
        except RejectedArtifact as error:
            log.warning("%s of attempt %s of run %s: %s", artifact.kind, said.attempt, said.run_id, error)
            if artifact.kind == "model":
                problem = f"The model could not be stored. {error}"
    if said.status == "succeeded" and not any(row["kind"] == "model" for row in kept):
        _fail(said, problem or "The trainer ended without a model.")
    if kept:
        db.session.execute(insert(Artifact).on_conflict_do_nothing(), kept)
    db.session.commit()
    _clean(storage, said)


def _keep_one(storage: Storage, said: facts.Outcome, artifact: facts.Artifact) -> dict[str, object]:
    key = artifact_key(said.run_id, said.attempt, artifact.name, artifact.sha256)
    known = db.session.get(Artifact, (said.run_id, said.attempt, artifact.name))
    db.session.commit()
    if known is None:  # a repeat after a crash finds it kept, and the staged copy perhaps gone
        storage.keep(staging_key(said.run_id, said.attempt, artifact.name), key, artifact.size, artifact.sha256)
    return {"run_id": said.run_id, "attempt": said.attempt, "name": artifact.name, "kind": artifact.kind,
            "step": artifact.step, "key": key, "sha256": artifact.sha256, "size": artifact.size,
            "manifest": artifact.manifest}  # fmt: skip


def _fail(said: facts.Outcome, problem: str) -> None:
    """The outcome itself is corrected, so that the recording of the ending needs no second opinion."""
    found = ledger.lock_attempt(said.run_id, said.attempt)
    if found and found[1].outcome:
        found[1].outcome = found[1].outcome | {"status": "failed", "error": problem}


def _clean(storage: Storage, said: facts.Outcome) -> None:
    for artifact in said.artifacts:
        storage.delete(staging_key(said.run_id, said.attempt, artifact.name))
