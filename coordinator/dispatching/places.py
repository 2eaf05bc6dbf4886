"""Where jobs that wait stand in their queue, and when they will probably begin: what the API says of them.

PostgreSQL puts them in order, however many they are, so that no web process is held up by it; the order is that of
`turns`, and a test holds the two together.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, isfinite
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, text

from wire.names import MAX_PRIORITY

from ..extensions import db
from ..lifecycle import JobState
from . import waiting
from .forecast import Running, Slots, starts
from .placement import Present, lacks
from .turns import AGING

MOST_FORECAST = 200
"""So many of each queue are followed one by one; those behind them, as what all before them takes on average."""
ROUND = 10
"""Seconds: it is an estimate, and an answer that changes all the time could not be told from one that did."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of one job."""

    position: int
    """From 1, among those that ask for the same of a node."""
    expected_start: datetime | None


def of(jobs: Iterable[Any]) -> dict[UUID, Place]:
    """Of those among these jobs that wait; of all of them in one look."""
    those = [job for job in jobs if job.state == JobState.SUBMITTED]
    if not those:
        return {}
    wanted, queues = {job.run_id for job in those}, {job.queue for job in those}
    with db.engine.connect() as connection:
        users, teams = waiting.full(connection)
        asked = {"wanted": [*wanted], "queues": [*queues], "users": [*users, NOBODY], "teams": [*teams, NOBODY],
                 "highest": MAX_PRIORITY, "aging": AGING.total_seconds(), "most": MOST_FORECAST}  # fmt: skip
        rows = connection.execute(_IN_ORDER, asked).all()
        expected = _forecast(connection, rows)
    return {row.run_id: Place(row.position, expected.get(row.run_id)) for row in rows if row.run_id in wanted}


def _forecast(connection: Connection, rows: Sequence[Any]) -> dict[UUID, datetime | None]:
    now: datetime = connection.execute(text("SELECT now()")).scalar_one()
    nodes = [node for node in waiting.present(connection) if node.closed is None]
    paces = _paces(connection)
    ends = defaultdict[str, list[float]](list)
    for row in connection.execute(_RUNNING):
        its = Running(row.steps_left, row.steps_made or 0, row.took or 0.0, row.since or 0.0, row.elapsed)
        ends[row.node].append(its.left(_pace(paces, row.env_id)))
    slots = {node.name: Slots(node.has.slots, ends[node.name]) for node in nodes}
    fitting = {row.queue: _fitting(nodes, slots, row.requires) for row in rows}
    near, far = [it for it in rows if it.position <= MOST_FORECAST], [it for it in rows if it.position > MOST_FORECAST]
    begin = starts((fitting[row.queue], row.steps * (_pace(paces, row.env_id) or inf)) for row in near)
    found = {row.run_id: _rounded(now, seconds) for row, seconds in zip(near, begin, strict=True)}
    for row in far:
        count = sum(its.count for its in fitting[row.queue])
        found[row.run_id] = _rounded(now, float(row.steps_ahead) * paces.get(None, inf) / count if count else inf)
    return found


def _fitting(nodes: list[Present], slots: dict[str, Slots], requires: dict[str, Any]) -> list[Slots]:
    return [slots[node.name] for node in nodes if lacks(node.has, requires) is None]


def _rounded(now: datetime, seconds: float) -> datetime | None:
    if not isfinite(seconds):
        return None
    at = now + timedelta(seconds=seconds)
    return at + timedelta(seconds=ROUND - at.timestamp() % ROUND)


def _paces(connection: Connection) -> dict[str | None, float]:
    """Seconds for a step, of late, by environment; of all of them under None."""
    seconds, steps = Counter[str | None](), Counter[str | None]()
    for row in connection.execute(_RECENT):
        for key in (row.env_id, None):
            seconds[key] += row.seconds
            steps[key] += row.steps
    return {key: seconds[key] / steps[key] for key in steps if steps[key] > 0}


def _pace(paces: dict[str | None, float], env_id: str) -> float | None:
    return paces.get(env_id, paces.get(None))


NOBODY = UUID(int=0)
_IN_ORDER = text("""
WITH busy AS (
  SELECT owner_id, count(*) AS jobs FROM (
    SELECT owner_id FROM jobs WHERE state IN ('RETRIEVED', 'STARTING', 'RUNNING')
    UNION ALL SELECT owner_id FROM outbox WHERE task = 'train.run' AND sent_at IS NOT NULL
  ) AS all_of_them GROUP BY owner_id
), waits AS (
  SELECT id, run_id, queue, owner_id, team_id, priority, queued_at, sent_at,
         row_number() OVER mine AS place, first_value(queued_at) OVER mine AS first_queued_at
  FROM outbox WHERE task = 'train.run' AND queue IN :queues
  WINDOW mine AS (PARTITION BY queue, owner_id, sent_at IS NULL ORDER BY priority DESC, queued_at, run_id)
), weighed AS (
  SELECT waits.*, greatest(turns.at, first_queued_at) AS since, coalesce(busy.jobs, 0) AS at_work,
         CASE WHEN sent_at IS NOT NULL THEN 0 WHEN waits.owner_id IN :users OR team_id IN :teams THEN 2 ELSE 1 END
         AS stage
  FROM waits LEFT JOIN busy ON busy.owner_id = waits.owner_id LEFT JOIN turns ON turns.owner_id = waits.owner_id
), scored AS (
  SELECT weighed.*, (place + at_work)
         / least(:highest, priority + greatest(0, extract(epoch FROM now() - since)) / :aging) AS score FROM weighed
), ordered AS (
  SELECT scored.run_id, scored.queue, jobs.requires, jobs.env_id, jobs.steps,
         row_number() OVER (PARTITION BY scored.queue ORDER BY stage, sent_at, score, since, scored.queued_at, id)
         AS position,
         sum(jobs.steps) OVER (PARTITION BY scored.queue ORDER BY stage, sent_at, score, since, scored.queued_at, id)
         - jobs.steps AS steps_ahead,
         row_number() OVER (ORDER BY stage, sent_at, score, since, scored.queued_at, id) AS overall
  FROM scored JOIN jobs ON jobs.run_id = scored.run_id
)
SELECT * FROM ordered WHERE position <= :most OR run_id IN :wanted ORDER BY overall
""").bindparams(*(bindparam(name, expanding=True) for name in ("queues", "users", "teams", "wanted")))
_RUNNING = text("""
SELECT nodes.name AS node, jobs.env_id,
       jobs.steps_before + jobs.steps - coalesce(newest.step, attempts.start_step) AS steps_left,
       newest.step - attempts.start_step AS steps_made,
       CAST(extract(epoch FROM newest.created_at - attempts.claimed_at) AS float) AS took,
       CAST(extract(epoch FROM now() - newest.created_at) AS float) AS since,
       CAST(extract(epoch FROM now() - attempts.claimed_at) AS float) AS elapsed
FROM attempts JOIN jobs ON jobs.run_id = attempts.run_id JOIN nodes ON nodes.id = attempts.node_id
LEFT JOIN LATERAL (
  SELECT step, created_at FROM metrics
  WHERE metrics.run_id = attempts.run_id AND metrics.attempt = attempts.number ORDER BY n DESC LIMIT 1
) AS newest ON true
WHERE attempts.ended_at IS NULL AND attempts.outcome IS NULL
""")
_RECENT = text("""
SELECT jobs.env_id, CAST(extract(epoch FROM recent.outcome_at - recent.claimed_at) AS float) AS seconds,
       jobs.steps_before + jobs.steps - recent.start_step AS steps
FROM nodes CROSS JOIN LATERAL (
  SELECT run_id, claimed_at, outcome_at, start_step FROM attempts
  WHERE node_id = nodes.id AND kind = 'succeeded' AND outcome_at IS NOT NULL ORDER BY ended_at DESC LIMIT 10
) AS recent JOIN jobs ON jobs.run_id = recent.run_id
WHERE nodes.last_seen_at > now() - interval '1 day'
""")
"""How fast trainings were: the last ten of each node."""
