"""What users and teams have at the moment of what is limited. Only reads."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal_column, select, text

from ..connections import Executes
from ..lifecycle import ACTIVE
from ..models import Artifact, AuditEntry, Build, Job
from ..models.audit import ASKS_FOR_STEPS

MEGABYTE = 1024 * 1024
DAY = text("interval '24 hours'")
STEPS: ColumnElement[int] = literal_column("CAST(audit.details ->> 'steps' AS bigint)")
Query = Callable[[str, UUID], Select[Any]]


def _of(model: type[Job] | type[Build], whose: str, subject: UUID) -> Any:
    return (model.owner_id if whose == "user" else model.team_id) == subject


def active(whose: str, subject: UUID) -> Select[Any]:
    return select(func.count()).where(_of(Job, whose, subject), Job.state.in_(ACTIVE))


def queued(whose: str, subject: UUID) -> Select[Any]:
    return select(func.count()).where(_of(Job, whose, subject), text("jobs.state = 'SUBMITTED'"))


def steps_of_a_day(whose: str, subject: UUID) -> Select[Any]:
    """As asked for, with every submit and resume: jobs may have gone on, or have been deleted, since."""
    who = AuditEntry.actor_id if whose == "user" else AuditEntry.team_id
    asked = select(func.coalesce(func.sum(STEPS), 0)).where(who == subject, ASKS_FOR_STEPS)
    return asked.where(AuditEntry.at > func.now() - DAY)


def stored_files(whose: str, subject: UUID) -> Select[Any]:
    files = select(func.coalesce(func.sum(Artifact.size), 0)).join(Job, Job.run_id == Artifact.run_id)
    return files.where(_of(Job, whose, subject))


def stored_builds(whose: str, subject: UUID) -> Select[Any]:
    """As announced, those that are still being uploaded too."""
    its = (_of(Build, whose, subject), Build.state != "REJECTED")
    return select(func.coalesce(func.sum(Build.size), 0)).where(*its)


def environments(whose: str, subject: UUID) -> Select[Any]:
    return select(func.count(Build.env_id.distinct())).where(_of(Build, whose, subject), Build.state != "REJECTED")


def versions(whose: str, subject: UUID) -> Select[Any]:
    return select(func.count()).where(_of(Build, whose, subject), Build.state != "REJECTED")


COUNTED: dict[str, Query] = {
    "jobs_active": active, "jobs_queued": queued, "steps_per_day": steps_of_a_day, "environments": environments,
    "versions": versions,
}  # fmt: skip


def count(reader: Executes, query: Query, whose: str, subject: UUID) -> int:
    """Of one user or team: `whose` is "user" or "team"."""
    return int(reader.execute(query(whose, subject)).scalar_one())


def stored_bytes(reader: Executes, whose: str, subject: UUID) -> int:
    """Of files and of builds."""
    return sum(count(reader, query, whose, subject) for query in (stored_files, stored_builds))


def of(reader: Executes, whose: str, subject: UUID) -> dict[str, int]:
    """Everything of it that the database knows."""
    found = {name: count(reader, query, whose, subject) for name, query in COUNTED.items()}
    return found | {"storage_mb": -(-stored_bytes(reader, whose, subject) // MEGABYTE)}
