"""Who asks: users in teams, and their tokens and tickets."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import Mapped, mapped_column

from ..extensions import Base
from .columns import moment, now


class User(Base):
    """Somebody who owns jobs."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="users_one_identity"),
        CheckConstraint("issuer IS NULL OR NOT is_operator", name="users_operators_are_ours"),
        UniqueConstraint("issuer", "subject", name="users_identity"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    is_operator: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether this user runs the installation."""
    issuer: Mapped[str | None] = mapped_column(Text)
    """Who signs this user in, if not we ourselves; with `subject`, by which that issuer knows him, who it is."""
    subject: Mapped[str | None] = mapped_column(Text)
    last_seen_at: Mapped[datetime | None] = moment()
    """Of one whom an issuer signs in: when he last came, written at most once a minute."""
    disabled_at: Mapped[datetime | None] = moment()
    """Since when nothing that he sends is good."""
    created_at: Mapped[datetime] = now()


class Team(Base):
    """Those who share jobs and environments; every user has one of his own beside."""

    __tablename__ = "teams"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    personal_of: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    """The user whose own team this is, and who is alone in it; None for the others."""
    created_at: Mapped[datetime] = now()


class Member(Base):
    """A user in a team."""

    __tablename__ = "members"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'member', 'owner')", name="members_role"),)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = now()


class Token(Base):
    """A bearer token of a user in a team, or of a node; only its SHA-256 is kept."""

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (node_id IS NULL)", name="tokens_one_bearer"),
        CheckConstraint("(user_id IS NULL) = (team_id IS NULL)", name="tokens_one_team"),
        CheckConstraint("scope IN ('read', 'write', 'admin')", name="tokens_scope"),
        Index("tokens_by_user", "user_id"),
        Index("tokens_by_team", "team_id"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    digest: Mapped[bytes] = mapped_column(BYTEA, unique=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    node_id: Mapped[UUID | None] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"))
    team_id: Mapped[UUID | None] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    """In which team it speaks for the user."""
    name: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What people call it."""
    scope: Mapped[str] = mapped_column(Text, default="write", server_default="write")
    is_local: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether it is good on the coordinator's own machine only."""
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime | None] = moment()
    revoked_at: Mapped[datetime | None] = moment()
    last_used_at: Mapped[datetime | None] = moment()
    """Written at most once a minute."""


class Ticket(Base):
    """Opens one WebSocket of one run, once, for whoever cannot send a token there; only its SHA-256 is kept."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("(token_id IS NULL) <> (user_id IS NULL)", name="tickets_one_bearer"),
        CheckConstraint("(user_id IS NULL) = (ends_at IS NULL)", name="tickets_end"),
    )
    digest: Mapped[bytes] = mapped_column(BYTEA, primary_key=True)
    token_id: Mapped[UUID | None] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"))
    """The token that it stands for; None of an issuer's, of which `user_id` and `ends_at` are kept."""
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    ends_at: Mapped[datetime | None] = moment()
    """When the issuer's token expires."""
    run_id: Mapped[UUID]
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
