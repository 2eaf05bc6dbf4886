"""S3's part of the pipeline: uploads go to their final keys, verified, before anybody is told of them."""

import logging
from uuid import UUID

from wire import facts
from wire.names import artifact_key, staging_key

from .. import artifacts, ledger
from ..config import Config
from ..errors import RejectedArtifact
from ..extensions import db
from ..models import Artifact, Attempt
from ..storage import Storage
from .record import reject
from .reports import AttemptComplete, FileUploaded

log = logging.getLogger(__name__)
MB = 1_000_000


class Archive:
    """Takes files out of staging. Every method raises Unavailable while S3 is away: the same task comes again."""

    def __init__(self, storage: Storage, config: Config) -> None:
        self._storage = storage
        self._most, self._checkpoints_kept = config.max_file_mb * MB, config.checkpoints_kept

    def keep_file(self, report: FileUploaded) -> None:
        """A file of a running attempt. One that is not what the node said, or not known, is set aside."""
        said = report.upload
        try:
            report.key = self._keep(said.run_id, said.attempt, said.artifact)
        except RejectedArtifact as error:
            log.warning("%s of attempt %s of run %s: %s", said.artifact.name, said.attempt, said.run_id, error)
            reject("uploads", str(error), str(said.to_wire()))
            db.session.commit()

    def clear_file(self, report: FileUploaded) -> None:
        """Whatever became of it: it is not waiting any more."""
        said = report.upload
        self._storage.delete(staging_key(said.run_id, said.attempt, said.artifact.name))

    def keep(self, report: AttemptComplete) -> None:
        """What the attempt uploaded. A success whose model is missing or damaged becomes a failure that says so."""
        attempt = db.session.get(Attempt, (report.run_id, report.attempt), populate_existing=True)
        if attempt is None or attempt.outcome is None or attempt.ended_at is not None:
            return
        said = facts.Outcome.from_wire(attempt.outcome)
        db.session.commit()  # no transaction stays open while S3 works
        kept, problem = self._keep_all(said)
        _record(said, kept, problem, self._checkpoints_kept)
        for artifact in said.artifacts:
            self._storage.delete(staging_key(said.run_id, said.attempt, artifact.name))

    def _keep_all(self, said: facts.Outcome) -> tuple[list[facts.Artifact], str | None]:
        """The verified ones, and what is wrong with the model."""
        kept, problem = [], None
        for artifact in said.artifacts:
            try:
                self._keep(said.run_id, said.attempt, artifact)
                kept.append(artifact)
            except RejectedArtifact as error:
                log.warning("%s of attempt %s of run %s: %s", artifact.name, said.attempt, said.run_id, error)
                if artifact.kind == "model":
                    problem = f"The model could not be stored. {error}"
        return kept, problem

    def _keep(self, run_id: UUID, attempt: int, artifact: facts.Artifact) -> str:
        """Its final key. A repeat after a crash finds it kept, and the staged copy perhaps gone."""
        key = artifact_key(run_id, attempt, artifact.name, artifact.sha256)
        exists = db.session.get(Attempt, (run_id, attempt)) is not None
        known = db.session.get(Artifact, (run_id, attempt, artifact.name))
        is_kept = known is not None and known.key == key
        db.session.commit()
        if not exists:
            raise RejectedArtifact(f"There is no attempt {attempt} of run {run_id}.")
        if artifact.size > self._most:
            raise RejectedArtifact(f"It has {artifact.size} bytes; at most {self._most} are taken (MAX_FILE_MB).")
        if not is_kept:
            self._storage.keep(staging_key(run_id, attempt, artifact.name), key, artifact.size, artifact.sha256)
        return key


def _record(said: facts.Outcome, kept: list[facts.Artifact], problem: str | None, checkpoints_kept: int) -> None:
    """The outcome itself is corrected, so that the recording of the ending needs no second opinion."""
    found = ledger.lock_attempt(said.run_id, said.attempt)
    if found:
        job, attempt = found
        for artifact in kept:
            artifacts.add(job, said.attempt, artifact)
        artifacts.prune_checkpoints(said.run_id, checkpoints_kept)
        if said.status == "succeeded" and not any(it.kind == "model" for it in kept) and attempt.outcome:
            error = problem or "The trainer ended without a model."
            attempt.outcome = attempt.outcome | {"status": "failed", "error": error}
    db.session.commit()
