"""The tables, and the constraints that make retries safe. Times are UTC."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import BYTEA, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from wire.names import TRAIN_QUEUE

from .extensions import Base
from .lifecycle import JobState

Json = dict[str, Any]
_states = ", ".join(f"'{state}'" for state in JobState)


def _now() -> Any:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


def _moment() -> Any:
    return mapped_column(DateTime(timezone=True))


def _json(default: str = "{}") -> Any:
    return mapped_column(JSONB, server_default=default, default=lambda: json.loads(default))


class User(Base):
    """Somebody who owns jobs."""

    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    is_operator: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether this user runs the installation."""
    created_at: Mapped[datetime] = _now()


class Team(Base):
    """Those who share jobs and environments; every user has one of his own beside."""

    __tablename__ = "teams"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    personal_of: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    """The user whose own team this is, and who is alone in it; None for the others."""
    created_at: Mapped[datetime] = _now()


class Member(Base):
    """A user in a team."""

    __tablename__ = "members"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'member', 'owner')", name="members_role"),)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = _now()


class Node(Base):
    """A machine that trains."""

    __tablename__ = "nodes"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(Text, unique=True)
    slots: Mapped[int] = mapped_column(default=1)
    has: Mapped[Json] = _json()
    """What it has declared: trainers, gpus, memory_mb, labels, ... (wire.jobs.Has)."""
    created_at: Mapped[datetime] = _now()
    last_seen_at: Mapped[datetime | None] = _moment()
    life: Mapped[UUID | None]
    """Made up by each start of the node's program: a wish to drain is meant for one life."""
    drain: Mapped[str | None] = mapped_column(Text)
    """How it is to end, once somebody has asked for that: finish or hand-over (wire.jobs.DRAINS)."""
    quarantine: Mapped[str | None] = mapped_column(Text)
    """Why it gets no more work until it has passed its self-check, in one sentence; None: it gets work."""
    checked_at: Mapped[datetime | None] = _moment()
    """When it last passed its self-check: its faults before that do not count any more."""


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
    created_at: Mapped[datetime] = _now()
    ready_at: Mapped[datetime | None] = _moment()
    retired_at: Mapped[datetime | None] = _moment()


class BuildCheck(Base):
    """What a node found when it first ran a build: does it start, does it connect, do its behaviours match."""

    __tablename__ = "build_checks"
    build_id: Mapped[UUID] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True)
    error: Mapped[str | None] = mapped_column(Text)
    """None: it passed."""
    seconds: Mapped[float]
    found: Mapped[Json] = _json()
    """The behaviours as the build showed them."""
    checked_at: Mapped[datetime] = _now()


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
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime | None] = _moment()
    revoked_at: Mapped[datetime | None] = _moment()
    last_used_at: Mapped[datetime | None] = _moment()
    """Written at most once a minute."""


class Ticket(Base):
    """Opens one WebSocket of one run, once, for whoever cannot send a token there; only its SHA-256 is kept."""

    __tablename__ = "tickets"
    digest: Mapped[bytes] = mapped_column(BYTEA, primary_key=True)
    token_id: Mapped[UUID] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"))
    """The token that it stands for."""
    run_id: Mapped[UUID]
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)


class Job(Base):
    """A training that somebody asked for. `attempt` is the current one, `last_seq` its newest event's number."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN ({_states})", name="jobs_state"),
        CheckConstraint("job_type IN ('CREATE', 'RESUME')", name="jobs_type"),
        Index("jobs_by_owner", "owner_id", "created_at"),
        Index("jobs_by_team", "team_id", "created_at"),
        Index("jobs_active", "state", postgresql_where=text("state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')")),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams.id"))
    job_type: Mapped[str] = mapped_column(Text, default="CREATE")
    state: Mapped[str] = mapped_column(Text, default=JobState.SUBMITTED)
    agent_config: Mapped[str] = mapped_column(Text)
    env_id: Mapped[str] = mapped_column(Text)
    """As the game sent it: a name, or name@version."""
    env_version: Mapped[str | None] = mapped_column(Text)
    """The version that was newest when the job came, or the one that it named."""
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))
    """None: a build that nodes have in their ENVIRONMENTS_DIR."""
    trainer: Mapped[str] = mapped_column(Text, default="mlagents", server_default="mlagents")
    agent_id: Mapped[str] = mapped_column(Text)
    num_of_areas: Mapped[int]
    num_envs: Mapped[int] = mapped_column(default=1, server_default="1")
    checkpoint_interval: Mapped[int | None]
    """Steps between two checkpoints; None for the trainer's own choice."""
    time_limit: Mapped[int | None]
    """Seconds for which it may train, all attempts of the newest request together; None: without end."""
    hyperparameters: Mapped[Json] = _json()
    """The job's own, laid over the behaviour's."""
    recording: Mapped[Json] = _json()
    """Which episodes are recorded: every, max_mb."""
    requires: Mapped[Json] = _json()
    """What a node must have: trainer, gpu, memory_mb, labels. Empty: any node will do."""
    queue: Mapped[str] = mapped_column(Text, default=TRAIN_QUEUE, server_default=TRAIN_QUEUE)
    """The queue whose nodes have that."""
    waiting_for: Mapped[str | None] = mapped_column(Text)
    """Why no node can take it at the moment, in one sentence."""
    initialize_from: Mapped[UUID | None]
    """Another job, whose checkpoint's weights this one begins with."""
    initialize_key: Mapped[str | None] = mapped_column(Text)
    initialize_sha256: Mapped[str | None] = mapped_column(Text)
    rerun_of: Mapped[UUID | None]
    """The job that this one repeats."""
    comparison: Mapped[Json | None] = mapped_column(JSONB)
    """What a rerun has shown, once it has ended."""
    behaviour: Mapped[str] = mapped_column(Text)
    steps: Mapped[int]
    """Steps asked for with the newest request."""
    steps_before: Mapped[int] = mapped_column(default=0)
    """Steps of the checkpoint that request goes on from."""
    steps_trained: Mapped[int] = mapped_column(default=0)
    mean_reward: Mapped[float | None]
    seed: Mapped[int]
    priority: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=1)
    first_attempt: Mapped[int] = mapped_column(default=1)
    """The attempt that the newest request began with: retries are counted from here."""
    last_seq: Mapped[int] = mapped_column(default=0)
    replay_from: Mapped[int] = mapped_column(default=0)
    """Events after this one are what a game that says nothing of `after` is shown: those of the current attempt."""
    error: Mapped[str | None] = mapped_column(Text)
    log_tail: Mapped[str | None] = mapped_column(Text)
    cancel_requested_at: Mapped[datetime | None] = _moment()
    deleted_at: Mapped[datetime | None] = _moment()
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()


class Attempt(Base):
    """One start of a job on a node. `facts_recorded` is the number of the newest fact kept of it."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_open", "lease_until", postgresql_where=text("ended_at IS NULL")),
        Index("attempts_by_sending", "task_sent_at"),
        Index("attempts_by_node", "node_id", "ended_at"),
    )
    run_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.run_id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("nodes.id"))
    claim: Mapped[UUID]
    """Made up by the execution that claimed it: a second copy of the task message is told apart by it."""
    claimed_at: Mapped[datetime] = _now()
    lease_until: Mapped[datetime | None] = _moment()
    facts_recorded: Mapped[int] = mapped_column(default=0)
    logs_recorded: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of the newest fact that was a piece of a log."""
    start_step: Mapped[int] = mapped_column(default=0, server_default="0")
    """Step of the checkpoint it began with: what earlier attempts trained beyond it was trained again."""
    bundle: Mapped[Json | None] = mapped_column(JSONB)
    """Everything that decides the result: see node/bundle.py."""
    outcome: Mapped[Json | None] = mapped_column(JSONB)
    outcome_at: Mapped[datetime | None] = _moment()
    ended_at: Mapped[datetime | None] = _moment()
    cause: Mapped[str | None] = mapped_column(Text)
    """Why it ended, in one sentence."""
    kind: Mapped[str | None] = mapped_column(Text)
    """How it ended, in one word: succeeded, cancelled, or one of wire.facts.CAUSES. It decides what follows."""
    is_fault: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether its node is to blame for that."""
    task_sent_at: Mapped[datetime | None] = _moment()
    """When its task was put into the outbox: the message by which a node came to claim it was sent after that."""
    resend: Mapped[list[str] | None] = mapped_column(JSONB)
    """Names of the files that its node is to upload again, since what came was missing or damaged; None: none."""
    resends: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often that was asked for."""
    resend_at: Mapped[datetime | None] = _moment()
    """When it was last asked for."""


class Event(Base):
    """A message to whoever watches the job: `frame` is the text as sent, numbered without gaps by `seq`."""

    __tablename__ = "events"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.run_id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    final: Mapped[bool] = mapped_column(default=False)
    frame: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = _now()


class Metric(Base):
    """A summary of training, with every statistic of the trainer. The key is the fact's: a repeat inserts nothing."""

    __tablename__ = "metrics"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"], ondelete="CASCADE"),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    behaviour: Mapped[str] = mapped_column(Text)
    step: Mapped[int]
    time_elapsed: Mapped[float]
    mean_reward: Mapped[float | None]
    std_reward: Mapped[float | None]
    statistics: Mapped[Json] = mapped_column(JSONB)
    created_at: Mapped[datetime] = _now()


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
    created_at: Mapped[datetime] = _now()


class DroppedObject(Base):
    """An object in S3 that nothing needs any more. The row goes with the transaction that gives it up, so that a crash
    leaves nothing behind: the sweeper deletes the object, and then the row."""

    __tablename__ = "dropped_objects"
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    created_at: Mapped[datetime] = _now()


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
    began_at: Mapped[datetime] = _moment()


class LogPiece(Base):
    """Some lines of a log of an attempt, as they came; the key is the fact's."""

    __tablename__ = "log_pieces"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"], ondelete="CASCADE"),
    )
    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    """ "trainer" or "environment"."""
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = _now()


class Outbox(Base):
    """A task that must reach the broker. The row goes when what it asks for has been done, not when it was sent."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_unsent", "id", postgresql_where=text("sent_at IS NULL")),)
    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(Text)
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.run_id", ondelete="CASCADE"), index=True)
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"), index=True)
    attempt: Mapped[int]
    priority: Mapped[int]
    queue: Mapped[str] = mapped_column(Text, default=TRAIN_QUEUE, server_default=TRAIN_QUEUE)
    sent_at: Mapped[datetime | None] = _moment()
    created_at: Mapped[datetime] = _now()


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
    created_at: Mapped[datetime] = _now()


class RejectedCount(Base):
    """How many messages were set aside, of which only the newest are kept."""

    __tablename__ = "rejected_counts"
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(default=1)
    last_at: Mapped[datetime] = _now()


class Pulse(Base):
    """Since when a service has been there without a break. Leases do not run while heartbeats could not come in."""

    __tablename__ = "pulses"
    service: Mapped[str] = mapped_column(Text, primary_key=True)
    alive_since: Mapped[datetime] = _now()
    last_seen_at: Mapped[datetime] = _now()
