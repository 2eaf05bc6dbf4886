"""What has been changed, by whom, and why."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Identity, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import Json, json_object, now

ASKS_FOR_STEPS = text("action IN ('job.submitted', 'job.resumed')")
"""Entries that say how many `steps` somebody has asked for."""


class AuditEntry(Base):
    """A change, written in its transaction. Rows are only ever added (a trigger sees to that), and refer to nothing, so
    that they stay when what they tell of is gone."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_by_time", "at", "id"),
        Index("audit_by_team", "team_id", "at", "id"),
        Index("audit_by_object", "object", "at", "id"),
        Index("audit_of_steps", "actor_id", "at", postgresql_where=ASKS_FOR_STEPS),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    at: Mapped[datetime] = now()
    action: Mapped[str] = mapped_column(Text)
    """One of audit.Audited."""
    object: Mapped[str] = mapped_column(Text)
    """What was changed: a run_id, a token's id, the name of a user, team or node, env_id@version."""
    team_id: Mapped[UUID | None]
    """Whose it is; None: the installation's."""
    actor_type: Mapped[str] = mapped_column(Text)
    """user, node, command line, or coordinator."""
    actor: Mapped[str] = mapped_column(Text)
    """Its name; on the command line, that of the operating system's user."""
    actor_id: Mapped[UUID | None]
    token: Mapped[str] = mapped_column(Text, default="", server_default="")
    """Name of the token that was sent."""
    token_id: Mapped[UUID | None]
    origin: Mapped[str] = mapped_column(Text)
    """From where: a client's address, a machine, or a program of the coordinator's."""
    reason: Mapped[str | None] = mapped_column(Text)
    """Why, in a sentence, where there is one."""
    details: Mapped[Json] = json_object()
