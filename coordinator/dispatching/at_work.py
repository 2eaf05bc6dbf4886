"""What users and teams have at work and on its way to nodes, and how much more of it may begin."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import func, select, text

from ..connections import Executes
from ..lifecycle import ACTIVE
from ..models import Job, Outbox, Turn
from ..parts import parts
from .turns import History, Waiting

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Room:
    """How many more trainings may begin, of each user and team that has a bound."""

    users: dict[UUID, int]
    teams: dict[UUID, int]

    def has(self, one: Waiting) -> bool:
        return self.users.get(one.owner_id, 1) > 0 and self.teams.get(one.team_id, 1) > 0

    def take(self, one: Waiting) -> None:
        for those, whose in ((self.users, one.owner_id), (self.teams, one.team_id)):
            if whose in those:
                those[whose] -= 1


def room(reader: Executes, busy: Rows, users: set[UUID], teams: set[UUID]) -> Room:
    """Of the limit jobs_active of these users and teams. `busy` are the rows of AT_WORK and SENT."""
    of_users, of_teams = parts(current_app).limits.bounds(reader, "jobs_active", users, teams)
    for row in busy:
        for those, whose in ((of_users, row.owner_id), (of_teams, row.team_id)):
            if whose in those:
                those[whose] -= row.jobs
    return Room(of_users, of_teams)


def history(reader: Executes, busy: Rows, users: set[UUID]) -> History:
    """What these users have at work, and when it was last their turn."""
    counts: Counter[UUID] = Counter()
    for row in busy:
        counts[row.owner_id] += row.jobs
    last = reader.execute(select(Turn.owner_id, Turn.at).where(Turn.owner_id.in_(users)))
    return History(counts, {row.owner_id: row.at for row in last})


SENT = (
    select(Outbox.queue, Outbox.owner_id, Outbox.team_id, Job.requires, func.count().label("jobs"))
    .join(Job, Job.run_id == Outbox.run_id)
    .where(Outbox.sent_at.is_not(None), text("task = 'train.run'"))
    .group_by(Outbox.queue, Outbox.owner_id, Outbox.team_id, Job.requires)
)
AT_WORK = (
    select(Job.owner_id, Job.team_id, func.count().label("jobs"))
    .where(Job.state.in_(ACTIVE))
    .group_by(Job.owner_id, Job.team_id)
)
