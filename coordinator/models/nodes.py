"""The machines that train."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import Json, json_object, moment, now


class Node(Base):
    """A machine that trains."""

    __tablename__ = "nodes"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    slots: Mapped[int] = mapped_column(default=1)
    has: Mapped[Json] = json_object()
    """What it has declared: trainers, gpus, memory_mb, labels, ... (wire.jobs.Has)."""
    created_at: Mapped[datetime] = now()
    last_seen_at: Mapped[datetime | None] = moment()
    life: Mapped[UUID | None]
    """Made up by each start of the node's program: a wish to drain is meant for one life."""
    drain: Mapped[str | None] = mapped_column(Text)
    """How it is to end, once somebody has asked for that: finish or hand-over (wire.jobs.DRAINS)."""
    quarantine: Mapped[str | None] = mapped_column(Text)
    """Why it gets no more work until it has passed its self-check, in one sentence; None: it gets work."""
    checked_at: Mapped[datetime | None] = moment()
    """When it last passed its self-check: its faults before that do not count any more."""
    broker_user: Mapped[str | None] = mapped_column(Text, unique=True)
    """Its user at RabbitMQ, who vouches for what it sends; None: it was never given one of its own."""
    broker_hash: Mapped[str | None] = mapped_column(Text)
    """Its user's password there, salted and hashed as RabbitMQ keeps it: RabbitMQ may lose its data."""
    revoked_at: Mapped[datetime | None] = moment()
    """Since when it is no node of ours any more."""
