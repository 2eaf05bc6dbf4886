"""Reads: jobs, events and metrics as clients see them. Nothing here writes, and nothing keeps its connection."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, or_, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from . import permissions
from .errors import NotFound
from .extensions import db
from .lifecycle import JobState
from .models import Artifact, Attempt, Build, BuildCheck, Event, Job, Metric, Node, Team, User
from .permissions import Action, Caller
from .retries import Ended

NO_RUN = "There is no run {} among your jobs."
MOST_THREADS = 1_024
NEWEST = (Artifact.attempt.desc(), Artifact.step.desc().nulls_last(), Artifact.created_at.desc())


@dataclass(frozen=True, slots=True)
class Watched:
    """What a socket needs to know of the job it watches."""

    run_id: UUID
    team_id: UUID
    replay_from: int
    last_seq: int
    attempt: int
    state: JobState


def job_of(who: Caller, run_id: UUID) -> Job:
    """A job that the caller may see. Raises NotFound for one that does not exist, is deleted, or is a stranger's: the
    three look the same."""
    return seen(who, db.session.get(Job, run_id), run_id)


def seen(who: Caller | None, job: Job | None, run_id: UUID) -> Job:
    """The job, if it is there and the caller may see it; None is a game without a token, where those are served.

    Raises NotFound.
    """
    if job is None or job.deleted_at is not None or not (who is None or sees(who, job.team_id)):
        raise NotFound(NO_RUN.format(run_id))
    return job


def sees(who: Caller, team_id: UUID) -> bool:
    """Whether the caller may see what belongs to that team."""
    return permissions.may(who, Action.READ, team_id)


def user_names(user_ids: set[UUID]) -> dict[UUID, str]:
    """Each one's name."""
    rows = db.session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row.id: row.name for row in rows}


def team_names(team_ids: set[UUID]) -> dict[UUID, str]:
    """Each one's name."""
    rows = db.session.execute(select(Team.id, Team.name).where(Team.id.in_(team_ids)))
    return {row.id: row.name for row in rows}


def watched(run_id: UUID, who: Caller | None) -> Watched:
    """`who` None is a game that sends no token, where those are served. Raises NotFound."""
    job = seen(who, db.session.get(Job, run_id, populate_existing=True), run_id)
    return Watched(run_id, job.team_id, job.replay_from, job.last_seq, job.attempt, JobState(job.state))


def events_after(run_id: UUID, seq: int, most: int = 500) -> list[tuple[int, bool, str]]:
    """The next events as (seq, final, frame), in order, at most so many."""
    wanted = select(Event.seq, Event.final, Event.frame).where(Event.run_id == run_id, Event.seq > seq)
    return [(seq, final, frame) for seq, final, frame in db.session.execute(wanted.order_by(Event.seq).limit(most))]


def newest_seqs(run_ids: list[UUID]) -> dict[UUID, int]:
    """The number of each job's newest event."""
    rows = db.session.execute(select(Job.run_id, Job.last_seq).where(Job.run_id.in_(run_ids)))
    return {row.run_id: row.last_seq for row in rows}


def newest_artifact(run_id: UUID, kind: str) -> Artifact | None:
    """The newest attempt's verified file of that kind."""
    wanted = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == kind)
    return db.session.scalars(wanted.order_by(*NEWEST).limit(1)).first()


def newest_checkpoint(run_id: UUID, before: int | None = None) -> Artifact | None:
    """What the next attempt goes on from, or the one of that number. A checkpoint of an attempt whose successor began
    at an earlier step is none: the job's history leads elsewhere since then."""
    wanted = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == "checkpoint")
    wanted = wanted.where(~was_trained_again(Artifact), true() if before is None else Artifact.attempt < before)
    return db.session.scalars(wanted.order_by(*NEWEST).limit(1)).first()


def is_kept(key: str) -> bool:
    """Whether a file of some job lies there."""
    return db.session.scalar(select(exists().where(Artifact.key == key))) is True


def files_of(run_id: UUID, attempt: int | None = None) -> list[Artifact]:
    """Every file of the job, or of one attempt, oldest first."""
    wanted = select(Artifact).where(Artifact.run_id == run_id)
    wanted = wanted.where(true() if attempt is None else Artifact.attempt == attempt)
    return list(db.session.scalars(wanted.order_by(Artifact.attempt, Artifact.created_at, Artifact.name)))


def models_of(run_id: UUID) -> list[Artifact]:
    """Every model of the job, oldest first."""
    wanted = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == "model")
    return list(db.session.scalars(wanted.order_by(Artifact.attempt, Artifact.name)))


def newest_models(run_ids: list[UUID]) -> dict[UUID, Artifact]:
    """Each job's newest model, where there is one."""
    wanted = select(Artifact).where(Artifact.run_id.in_(run_ids), Artifact.kind == "model")
    wanted = wanted.ext(distinct_on(Artifact.run_id)).order_by(Artifact.run_id, *NEWEST)
    return {row.run_id: row for row in db.session.scalars(wanted)}


def start_step(job: Job, attempt: int) -> int:
    """Where that attempt begins: the step of its checkpoint, or 0."""
    checkpoint = newest_checkpoint(job.run_id, attempt)
    if checkpoint is None:
        return 0
    return job.steps_before if checkpoint.step is None else checkpoint.step


def metrics(run_id: UUID, attempt: int | None = None) -> Select[Metric]:
    """The summaries of the job without what was trained again by a later attempt; with `attempt`, all of that one."""
    wanted = select(Metric).where(Metric.run_id == run_id)
    return wanted.where(~was_trained_again(Metric) if attempt is None else Metric.attempt == attempt)


def metrics_of(run_id: UUID, attempt: int | None = None) -> list[Metric]:
    """The same in the order in which it was trained."""
    return list(db.session.scalars(metrics(run_id, attempt).order_by(Metric.attempt, Metric.n)))


def was_trained_again(of: type[Artifact] | type[Metric]) -> ColumnElement[bool]:
    """Whether a later attempt began before that step."""
    later = aliased(Attempt)
    return exists().where(later.run_id == of.run_id, later.number > of.attempt, later.start_step < of.step)


def attempts_of(run_id: UUID) -> list[tuple[Attempt, str]]:
    """Every attempt with the name of its node, oldest first."""
    wanted = select(Attempt, Node.name).join(Node).where(Attempt.run_id == run_id).order_by(Attempt.number)
    return [(attempt, node) for attempt, node in db.session.execute(wanted)]


def ended(job: Job) -> list[Ended]:
    """How the attempts of its newest request have ended, oldest first."""
    its_own = exists().where(
        Artifact.run_id == Attempt.run_id, Artifact.attempt == Attempt.number, Artifact.kind == "checkpoint",
        Artifact.step > Attempt.start_step,
    )  # fmt: skip
    wanted = select(Attempt.kind, its_own).where(
        Attempt.run_id == job.run_id, Attempt.number >= job.first_attempt, Attempt.kind.is_not(None)
    )
    return [Ended(kind or "", progress) for kind, progress in db.session.execute(wanted.order_by(Attempt.number))]


def newest_bundle(run_id: UUID) -> dict[str, Any] | None:
    """Of the newest attempt that has one."""
    wanted = select(Attempt.bundle).where(Attempt.run_id == run_id, Attempt.bundle.is_not(None))
    return db.session.scalars(wanted.order_by(Attempt.number.desc()).limit(1)).first()


def threads_of(job: Job) -> int | None:
    """The trainer's threads so far, of this job or of the one that it repeats; None where nothing is known of them."""
    bundle = newest_bundle(job.run_id) or (newest_bundle(job.rerun_of) if job.rerun_of else None) or {}
    threads = bundle.get("threads")
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def nodes() -> list[Node]:
    return list(db.session.scalars(select(Node).order_by(Node.name)))


@dataclass(frozen=True, slots=True)
class BuildForNode:
    """A build as a node needs it; `needs_check` until this node has told that it runs there."""

    row: Build
    needs_check: bool


def build_for(node_id: UUID, build_id: UUID) -> BuildForNode:
    """Raises NotFound; a job's build is always there."""
    if (build := db.session.get(Build, build_id)) is None:
        raise NotFound(f"There is no build {build_id}.")
    check = db.session.get(BuildCheck, (build_id, node_id))
    return BuildForNode(build, check is None or check.error is not None)


def builds_of(who: Caller, env_id: str | None = None) -> list[Build]:
    """All that are READY, and the others of the caller's team; the newest first of each environment, those that are
    READY before."""
    others = true() if who.is_operator else Build.team_id == who.team_id
    wanted = select(Build).where(or_(Build.state == "READY", others))
    if env_id is not None:
        wanted = wanted.where(Build.env_id == env_id)
    order = (Build.env_id, (Build.state != "READY"), Build.ready_at.desc().nulls_last(), Build.created_at.desc())
    return list(db.session.scalars(wanted.order_by(*order)))


def checks_of(build_ids: list[UUID]) -> dict[UUID, list[tuple[BuildCheck, str]]]:
    """What nodes found, each with the node's name."""
    wanted = select(BuildCheck, Node.name).join(Node).where(BuildCheck.build_id.in_(build_ids)).order_by(Node.name)
    found: dict[UUID, list[tuple[BuildCheck, str]]] = {}
    for check, node in db.session.execute(wanted):
        found.setdefault(check.build_id, []).append((check, node))
    return found


def is_there() -> Any:
    """One round trip to PostgreSQL; raises what SQLAlchemy raises when it is away."""
    return db.session.execute(select(1)).scalar()
