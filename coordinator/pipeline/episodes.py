"""The database's part for a piece of a recording: the episodes in it. A piece that comes again inserts nothing."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from wire import facts
from wire.facts import BadFact
from wire.recordings import episodes_of

from ..extensions import db
from ..models import Artifact, Episode
from .record import reject
from .reports import FileUploaded

KIND = "recording"


def record(report: FileUploaded) -> None:
    """The episodes of a recording's piece that has been verified and kept."""
    said = report.upload
    if report.key is not None and said.artifact.kind == KIND and _is_kept(report.key):
        try:
            store(said.run_id, said.attempt, said.artifact, report.key)
        except BadFact as error:
            reject("recordings", str(error), f"{said.artifact.name} of attempt {said.attempt} of run {said.run_id}")
        db.session.commit()


def _is_kept(key: str) -> bool:
    """Whether the step before has taken it over: not a second one of the same name, nor one of an unknown attempt."""
    return db.session.scalar(select(Artifact.run_id).where(Artifact.key == key)) is not None


def store(run_id: UUID, attempt: int, piece: facts.Artifact, key: str) -> None:
    """Inserts what is new, inside the caller's transaction. Raises BadFact where the manifest cannot be true."""
    rows = [
        {"run_id": run_id, "attempt": attempt, "number": its.number, "instance": its.instance, "key": key,
         "start": its.start, "size": its.size, "times_ms": list(its.times_ms), "is_complete": its.is_complete,
         "began_at": its.began_at}
        for its in episodes_of(piece)
    ]  # fmt: skip
    if rows:
        db.session.execute(insert(Episode).on_conflict_do_nothing(), rows)
