"""The jobs that wait for a node, and the nodes that are there: who is told from where to take, and why who waits."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, true, update

from wire.jobs import Has
from wire.names import TASK_TRAIN

from .. import nodes
from ..connections import Executes
from ..extensions import db
from ..lifecycle import JobState
from ..models import Attempt, Job, Node, Outbox
from . import at_work, placement
from .windows import Windows

MOST_QUEUES = 64
USER_IS_FULL = "Its user has as many jobs at work as he may have (limit 'jobs_active')."
TEAM_IS_FULL = "Its team has as many jobs at work as it may have (limit 'jobs_active')."
NOBODY_BEGAN = "It was sent to nodes {} times, and none began it. It is sent again."


def queues_for(has: Has) -> list[str]:
    """The queues that a node with all this is to take trainings from."""
    return placement.queues_for(has, _waiting(MOST_QUEUES))


def explain() -> None:
    """Says of each job that waits why no node takes it, or that none has begun it though nodes were sent it more than
    once; else nothing."""
    nodes_there, (users, teams) = present(db.session), full(db.session)
    is_of_full_user, is_of_full_team = Job.owner_id.in_(users), Job.team_id.in_(teams)
    sent_again = _sent_again()
    for queue, requires in _waiting():
        why = placement.why_it_waits(nodes_there, requires)
        might_start = why in (None, placement.BUSY)
        _say(USER_IS_FULL if might_start else why, Job.queue == queue, is_of_full_user)
        _say(TEAM_IS_FULL if might_start else why, Job.queue == queue, ~is_of_full_user, is_of_full_team)
        others = (Job.queue == queue, ~is_of_full_user, ~is_of_full_team)
        _say(why, *others, Job.run_id.not_in(sent_again) if why is None else true())
        for times in set(sent_again.values()) if why is None else ():
            those = [run_id for run_id, its in sent_again.items() if its == times]
            _say(NOBODY_BEGAN.format(times), *others, Job.run_id.in_(those))
    db.session.commit()


def _sent_again() -> dict[UUID, int]:
    """How often each training was sent that was sent more than once, and that no node has claimed."""
    rows = select(Outbox.run_id, Outbox.times_sent).where(Outbox.task == TASK_TRAIN, Outbox.times_sent > 1)
    return {row.run_id: row.times_sent for row in db.session.execute(rows) if row.run_id}


def full(reader: Executes) -> tuple[set[UUID], set[UUID]]:
    """The users and the teams of whose jobs no more may begin, though some wait."""
    whose = reader.execute(select(Job.owner_id, Job.team_id).where(Job.state == JobState.SUBMITTED).distinct()).all()
    windows = Windows(present(reader), [])
    busy = [*reader.execute(at_work.AT_WORK), *windows.may_begin(reader.execute(at_work.SENT).all())]
    room = at_work.room(reader, busy, {row.owner_id for row in whose}, {row.team_id for row in whose})
    return ({user for user, more in room.users.items() if more <= 0},
            {team for team, more in room.teams.items() if more <= 0})  # fmt: skip


def _say(why: str | None, *which: Any) -> None:
    its = (Job.state == JobState.SUBMITTED, Job.waiting_for.is_distinct_from(why), *which)
    db.session.execute(update(Job).where(*its).values(waiting_for=why).execution_options(synchronize_session=False))


def present(reader: Executes) -> list[placement.Present]:
    """Those that are there, each with the number of its trainings; one that has handed in leaves its slot free."""
    is_open = (Attempt.node_id == Node.id, Attempt.ended_at.is_(None), Attempt.outcome.is_(None))
    open_ones = select(func.count()).where(*is_open).scalar_subquery().label("trainings")
    rows = select(*Node.__table__.c, open_ones).where(Node.last_seen_at > func.now() - nodes.AWAY_AFTER)
    return [
        placement.Present(row.name, Has.from_wire(row.has), row.trainings, nodes.refuses(row))
        for row in reader.execute(rows.order_by(Node.name))
    ]


def _waiting(most: int | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The (queue, requires) of jobs that wait; those that wait longest first."""
    wanted = select(Job.queue, Job.requires).where(Job.state == JobState.SUBMITTED)
    rows = wanted.group_by(Job.queue, Job.requires).order_by(func.min(Job.created_at)).limit(most)
    return [(queue, requires) for queue, requires in db.session.execute(rows)]
