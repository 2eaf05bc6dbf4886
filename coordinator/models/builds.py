"""The environment store."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import Json, json_object, moment, now


class Build(Base):
    """One version of an environment, uploaded by its owner: an archive in S3, with what was found in it."""

    __tablename__ = "builds"
    __table_args__ = (
        UniqueConstraint("env_id", "version", name="builds_version"),
        CheckConstraint("state IN ('UPLOADING', 'VERIFYING', 'READY', 'REJECTED', 'RETIRED')", name="builds_state"),
        Index("builds_ready", "env_id", "ready_at", postgresql_where=text("state = 'READY'")),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    env_id: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    state: Mapped[str] = mapped_column(Text, default="UPLOADING")
    sha256: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    key: Mapped[str] = mapped_column(Text)
    upload_id: Mapped[str | None] = mapped_column(Text)
    """Of the multipart upload; None once it is complete, and from then on nobody can write to the key."""
    parts: Mapped[list[Any] | None] = mapped_column(JSONB)
    """Of that upload, as its owner says: [number, ETag] each."""
    manifest: Mapped[Json | None] = mapped_column(JSONB)
    """As sent with the upload, or found in the archive; with each behaviour's `configuration` once READY."""
    unpacked_size: Mapped[int | None]
    files: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    """Why it was REJECTED, in one sentence."""
    created_at: Mapped[datetime] = now()
    ready_at: Mapped[datetime | None] = moment()
    retired_at: Mapped[datetime | None] = moment()


class BuildCheck(Base):
    """What a node found when it first ran a build: does it start, does it connect, do its behaviours match."""

    __tablename__ = "build_checks"
    build_id: Mapped[UUID] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True)
    error: Mapped[str | None] = mapped_column(Text)
    """None: it passed."""
    seconds: Mapped[float]
    found: Mapped[Json] = json_object()
    """The behaviours as the build showed them."""
    checked_at: Mapped[datetime] = now()
