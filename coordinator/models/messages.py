"""What is on its way between programs, and what was set aside."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from wire.names import TRAIN_QUEUE

from ..extensions import Base
from .columns import moment, now

_A_TRAINING, _NO_TRAINING = "task = 'train.run'", "task <> 'train.run'"


class Outbox(Base):
    """A task that must reach the broker. The row goes when what it asks for has been done, not when it was sent."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("outbox_unsent", "id", postgresql_where=text(f"sent_at IS NULL AND {_NO_TRAINING}")),
        Index("outbox_waiting", "queue", "team_id", "owner_id", text("priority DESC"), "queued_at", "id",
              postgresql_where=text(f"sent_at IS NULL AND {_A_TRAINING}")),
        Index("outbox_sent", "queue", postgresql_where=text(f"sent_at IS NOT NULL AND {_A_TRAINING}")),
    )  # fmt: skip
    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(Text)
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.run_id", ondelete="CASCADE"), index=True)
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    priority: Mapped[int]
    queue: Mapped[str] = mapped_column(Text, default=TRAIN_QUEUE, server_default=TRAIN_QUEUE)
    owner_id: Mapped[UUID | None]
    team_id: Mapped[UUID | None]
    """Of a training: whose it is."""
    queued_at: Mapped[datetime | None] = moment()
    """Of a training: the job's."""
    sent_at: Mapped[datetime | None] = moment()
    first_sent_at: Mapped[datetime | None] = moment()
    """When the first of its messages was sent: whoever came with one, it was sent then or later."""
    times_sent: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = now()


class IdempotencyKey(Base):
    """A request that was sent with a key of the client's own: sent again, it is answered with the same job."""

    __tablename__ = "idempotency_keys"
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[str] = mapped_column(Text)
    """SHA-256 of what was asked for: the same key for something else is a mistake of the client's."""
    run_id: Mapped[UUID]
    """Of the job, which may have been deleted since."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)


class RejectedMessage(Base):
    """A message that no part could use, kept with the reason so that the stream can go on."""

    __tablename__ = "rejected_messages"
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = now()


class RejectedCount(Base):
    """How many messages were set aside, of which only the newest are kept."""

    __tablename__ = "rejected_counts"
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(default=1)
    last_at: Mapped[datetime] = now()


class Pulse(Base):
    """Since when a service has been there without a break. Leases do not run while heartbeats could not come in."""

    __tablename__ = "pulses"
    service: Mapped[str] = mapped_column(Text, primary_key=True)
    alive_since: Mapped[datetime] = now()
    last_seen_at: Mapped[datetime] = now()
