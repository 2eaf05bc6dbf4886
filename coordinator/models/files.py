"""What lies in S3 of a job."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import Json, moment, now


class Artifact(Base):
    """A verified file in S3 at its final, immutable key. `name` is the file's, as people download it."""

    __tablename__ = "artifacts"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"], ondelete="CASCADE"),
        Index("artifacts_by_kind", "run_id", "kind", "attempt", "step"),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    step: Mapped[int | None]
    """The training's step that a checkpoint or a model belongs to."""
    key: Mapped[str] = mapped_column(Text, unique=True)
    sha256: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    manifest: Mapped[Json] = mapped_column(JSONB)
    created_at: Mapped[datetime] = now()


class DroppedObject(Base):
    """An object in S3 that nothing needs any more. The row goes with the transaction that gives it up, so that a crash
    leaves nothing behind: the sweeper deletes the object, and then the row."""

    __tablename__ = "dropped_objects"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = now()


class Episode(Base):
    """A recorded episode: a part of an object in S3 that holds what the build sent, byte for byte."""

    __tablename__ = "episodes"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"], ondelete="CASCADE"),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    instance: Mapped[int] = mapped_column(default=0)
    """Which of the job's environments, in the order in which they connected."""
    key: Mapped[str] = mapped_column(Text)
    start: Mapped[int]
    size: Mapped[int]
    times_ms: Mapped[list[int]] = mapped_column(JSONB)
    """When each message came, from the episode's begin."""
    is_complete: Mapped[bool] = mapped_column(default=True)
    began_at: Mapped[datetime] = moment()
