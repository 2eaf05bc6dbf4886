"""The jobs that wait for a node, and the nodes that are there: who is told from where to take, and why who waits."""

from typing import Any

from sqlalchemy import func, select, update

from wire.jobs import Has

from . import nodes, placement
from .extensions import db
from .lifecycle import JobState
from .models import Attempt, Job, Node

MOST_QUEUES = 64


def queues_for(has: Has) -> list[str]:
    """The queues that a node with all this is to take trainings from."""
    return placement.queues_for(has, _waiting(MOST_QUEUES))


def explain() -> None:
    """Says of each job that waits why no node takes it, and nothing where one will."""
    present = _present()
    for queue, requires in _waiting():
        why = placement.why_it_waits(present, requires)
        db.session.execute(
            update(Job)
            .where(Job.state == JobState.SUBMITTED, Job.queue == queue, Job.waiting_for.is_distinct_from(why))
            .values(waiting_for=why)
        )
    db.session.commit()


def _present() -> list[placement.Present]:
    """Those that are there, each with the number of its trainings."""
    open_ones = select(func.count()).where(Attempt.node_id == Node.id, Attempt.ended_at.is_(None)).scalar_subquery()
    rows = select(Node, open_ones).where(Node.last_seen_at > func.now() - nodes.AWAY_AFTER).order_by(Node.name)
    return [
        placement.Present(node.name, Has.from_wire(node.has), count, nodes.refuses(node))
        for node, count in db.session.execute(rows)
    ]


def _waiting(most: int | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The (queue, requires) of jobs that wait; those that wait longest first."""
    wanted = select(Job.queue, Job.requires).where(Job.state == JobState.SUBMITTED)
    rows = wanted.group_by(Job.queue, Job.requires).order_by(func.min(Job.created_at)).limit(most)
    return [(queue, requires) for queue, requires in db.session.execute(rows)]
