"""Whose turn it is: in which order jobs that wait are sent to nodes. Pure.

A user's own jobs come by priority, then by age. Among users the one is next who would have the least at work for his
weight: the priority of the job whose turn it is, and one more for every ten minutes that he has waited for a turn. So
nobody's many jobs keep another one's first from its turn, and no priority keeps anybody waiting for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from wire.names import MAX_PRIORITY

AGING = timedelta(minutes=10)
"""Waiting for so long is worth one step of priority, up to the highest."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A training that waits to be sent."""

    id: Any
    queue: str
    team_id: UUID
    owner_id: UUID
    priority: int
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What users have had: jobs at work or on their way to a node, and when one of theirs was last sent."""

    at_work: Mapping[UUID, int]
    last: Mapping[UUID, datetime]


def in_order(waiting: Iterable[Waiting], history: History, now: datetime) -> list[Waiting]:
    """The next one first; each queue's order is as if it were alone."""
    groups: dict[tuple[str, UUID], list[Waiting]] = defaultdict(list)
    for one in waiting:
        groups[one.queue, one.owner_id].append(one)
    keyed = []
    for (_, owner_id), its in groups.items():
        its.sort(key=lambda one: (-one.priority, one.queued_at, one.id))
        last = history.last.get(owner_id)
        since = max(last, its[0].queued_at) if last else its[0].queued_at
        patience = max(0.0, (now - since) / AGING)
        for place, one in enumerate(its, history.at_work.get(owner_id, 0) + 1):
            weight = min(float(MAX_PRIORITY), one.priority + patience)
            keyed.append((place / weight, since, one.queued_at, one.id, one))
    keyed.sort(key=lambda key: key[:4])
    return [key[-1] for key in keyed]
