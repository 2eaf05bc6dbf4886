"""How much somebody may have, and whose turn was when."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import now


class Limit(Base):
    """A limit of one user or one team that is not the usual one; 0 is none."""

    __tablename__ = "limits"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (team_id IS NULL)", name="limits_one_subject"),
        UniqueConstraint("user_id", "name", name="limits_of_user"),
        UniqueConstraint("team_id", "name", name="limits_of_team"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[int] = mapped_column(BigInteger)
    set_at: Mapped[datetime] = now()


class Turn(Base):
    """When a job of this user was last sent to a node: of two whose turn it is, the other comes first."""

    __tablename__ = "turns"
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
