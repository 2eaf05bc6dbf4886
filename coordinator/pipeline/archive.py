"""S3's part of the pipeline: uploads go to their final keys, verified, before anybody is told of them."""

import logging
from typing import Any
from uuid import UUID

from wire import facts
from wire.names import artifact_key, staging_key

from .. import artifacts, ledger, resends
from ..alone import alone
from ..config import Config
from ..errors import RejectedArtifact
from ..extensions import db
from ..models import Artifact, Attempt, Node
from ..storage import Storage
from .record import reject
from .reports import AttemptComplete, FileUploaded

log = logging.getLogger(__name__)
MB = 1_000_000
NOT_STORED = "The model could not be stored."
NEEDED = ("model", "checkpoint")
WANTING = {"cause": "storage", "achieved": "succeeded"}
Problems = dict[str, tuple[str, str]]
"""Of a file's name: its kind, and what is wrong with it."""


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
        """What the attempt uploaded. A success whose model is missing or damaged is asked for once more; in the end it
        becomes a failure that says so."""
        with alone(f"keep {report.run_id}.{report.attempt}") as is_alone:
            if is_alone:  # what another copy leaves of the work, the outbox asks for again
                self._keep_once(report)

    def _keep_once(self, report: AttemptComplete) -> None:
        attempt = db.session.get(Attempt, (report.run_id, report.attempt), populate_existing=True)
        if attempt is None or attempt.outcome is None or attempt.ended_at is not None or attempt.resend:
            return
        said = facts.Outcome.from_wire(attempt.outcome)
        db.session.commit()  # no transaction stays open while S3 works
        kept, problems = self._keep_all(said) if said.achieved is None else ([], {})
        report.settled = _record(said, kept, problems, self._checkpoints_kept)
        for artifact in said.artifacts if report.settled else kept:
            self._storage.delete(staging_key(said.run_id, said.attempt, artifact.name))

    def _keep_all(self, said: facts.Outcome) -> tuple[list[facts.Artifact], Problems]:
        """The verified ones, and what is wrong with model and checkpoint."""
        kept: list[facts.Artifact] = []
        problems: Problems = {}
        for artifact in said.artifacts:
            try:
                self._keep(said.run_id, said.attempt, artifact)
                kept.append(artifact)
            except RejectedArtifact as error:
                log.warning("%s of attempt %s of run %s: %s", artifact.name, said.attempt, said.run_id, error)
                if artifact.kind in NEEDED:
                    problems[artifact.name] = (artifact.kind, str(error))
        return kept, problems

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


def _record(
    said: facts.Outcome, kept: list[facts.Artifact], problems: Problems, checkpoints_kept: int
) -> dict[str, Any] | None:
    """The outcome itself is corrected, so that the recording of the ending needs no second opinion. None where the
    attempt's node is to upload files again before it ends."""
    settled = None
    if found := ledger.lock_attempt(said.run_id, said.attempt):
        job, attempt = found
        for artifact in kept:
            artifacts.add(job, said.attempt, artifact)
        artifacts.prune_checkpoints(job, checkpoints_kept)
        if not (problems and said.status == "succeeded" and resends.ask(attempt, [*problems])):
            _correct(attempt, said, kept, problems)
            settled = attempt.outcome
    db.session.commit()
    return settled


def _correct(attempt: Attempt, said: facts.Outcome, kept: list[facts.Artifact], problems: Problems) -> None:
    """No success without a model. Of an attempt that was cancelled the node keeps what could not be stored."""
    model_problem = next((why for kind, why in problems.values() if kind == "model"), None)
    if said.status == "succeeded" and not any(it.kind == "model" for it in kept):
        error = f"{NOT_STORED} {model_problem}" if model_problem else "The trainer ended without a model."
        if said.kept and (node := db.session.get(Node, attempt.node_id)):
            error += f" Its files are kept on node {node.name}."
        _change(attempt, status="failed", error=error, **(WANTING if model_problem else {}))
    elif said.status == "stopped" and said.kept and problems:
        _change(attempt, cause="storage", achieved="stopped")


def _change(attempt: Attempt, **said: str) -> None:
    attempt.outcome = (attempt.outcome or {}) | said
