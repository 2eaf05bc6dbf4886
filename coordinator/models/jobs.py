"""Jobs, their attempts, and what is told of them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from wire.names import TRAIN_QUEUE

from ..extensions import Base
from ..lifecycle import JobState
from .columns import Json, json_object, moment, now

_states = ", ".join(f"'{state}'" for state in JobState)


class Job(Base):
    """A training that somebody asked for. `attempt` is the current one, `last_seq` its newest event's number."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN ({_states})", name="jobs_state"),
        CheckConstraint("job_type IN ('CREATE', 'RESUME')", name="jobs_type"),
        Index("jobs_by_owner", "owner_id", "created_at"),
        Index("jobs_by_team", "team_id", "created_at"),
        Index("jobs_active", "state", postgresql_where=text("state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')")),
        Index("jobs_waiting_by_owner", "owner_id", postgresql_where=text("state = 'SUBMITTED'")),
        Index("jobs_waiting_by_team", "team_id", postgresql_where=text("state = 'SUBMITTED'")),
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
    hyperparameters: Mapped[Json] = json_object()
    """The job's own, laid over the behaviour's."""
    recording: Mapped[Json] = json_object()
    """Which episodes are recorded: every, max_mb."""
    requires: Mapped[Json] = json_object()
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
    cancel_requested_at: Mapped[datetime | None] = moment()
    deleted_at: Mapped[datetime | None] = moment()
    created_at: Mapped[datetime] = now()
    queued_at: Mapped[datetime] = now()
    """When its newest request came: an attempt that is lost costs the job no turn."""
    updated_at: Mapped[datetime] = now()


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
    claimed_at: Mapped[datetime] = now()
    lease_until: Mapped[datetime | None] = moment()
    facts_recorded: Mapped[int] = mapped_column(default=0)
    logs_recorded: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of the newest fact that was a piece of a log."""
    start_step: Mapped[int] = mapped_column(default=0, server_default="0")
    """Step of the checkpoint it began with: what earlier attempts trained beyond it was trained again."""
    bundle: Mapped[Json | None] = mapped_column(JSONB)
    """Everything that decides the result: see node/bundle.py."""
    outcome: Mapped[Json | None] = mapped_column(JSONB)
    outcome_at: Mapped[datetime | None] = moment()
    ended_at: Mapped[datetime | None] = moment()
    cause: Mapped[str | None] = mapped_column(Text)
    """Why it ended, in one sentence."""
    kind: Mapped[str | None] = mapped_column(Text)
    """How it ended, in one word: succeeded, cancelled, or one of wire.facts.CAUSES. It decides what follows."""
    is_fault: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    """Whether its node is to blame for that."""
    task_sent_at: Mapped[datetime | None] = moment()
    """When its task was first sent: the message by which a node came to claim it was sent then, or later."""
    resend: Mapped[list[str] | None] = mapped_column(JSONB)
    """Names of the files that its node is to upload again, since what came was missing or damaged; None: none."""
    resends: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often that was asked for."""
    resend_at: Mapped[datetime | None] = moment()
    """When it was last asked for."""


class Event(Base):
    """A message to whoever watches the job: `frame` is the text as sent, numbered without gaps by `seq`."""

    __tablename__ = "events"
    run_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.run_id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    final: Mapped[bool] = mapped_column(default=False)
    frame: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = now()


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
    created_at: Mapped[datetime] = now()


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
    created_at: Mapped[datetime] = now()
