"""Which trainings are sent now: the next ones in order, as far as there is room for them at nodes.

The relay asks within the transaction in which it sends. One recorder at a time: whoever has the lock counts alone.
"""

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert

from wire.names import TASK_TRAIN

from ..models import Outbox, Turn
from . import at_work, waiting
from .at_work import Rows
from .turns import Waiting, in_order
from .windows import Windows

MOST = 100
"""Of one batch, and so of each user's jobs that are looked at."""


def due(connection: Connection) -> Rows:
    """The rows of the outbox that are to be sent now, locked. Empty, too, while another recorder is at it."""
    if not connection.scalar(_ANY) or not connection.scalar(_LOCK):
        return []
    sent = connection.execute(at_work.SENT).all()
    windows = Windows(waiting.present(connection), [(row.queue, row.requires, row.jobs) for row in sent])
    candidates = connection.execute(_CANDIDATES, {"most": min(MOST, windows.most)}).all()
    ids = _picked(connection, windows, candidates, windows.may_begin(sent))
    if not ids:
        return []
    rows = connection.execute(_CHOSEN, {"ids": ids}).all()
    return sorted(rows, key=lambda row: ids.index(row.id))


def note(connection: Connection, rows: Rows) -> None:
    """These have been sent: their users have had a turn."""
    owners = {row.owner_id for row in rows if row.task == TASK_TRAIN and row.owner_id}
    if owners:
        turn = insert(Turn).values([{"owner_id": owner, "at": func.clock_timestamp()} for owner in sorted(owners)])
        connection.execute(turn.on_conflict_do_update(index_elements=["owner_id"], set_={"at": turn.excluded.at}))


def _picked(connection: Connection, windows: Windows, candidates: Rows, sent: Rows) -> list[int]:
    """The ids of those that are sent, the first one first."""
    requires = {row.queue: row.requires for row in candidates}
    now: datetime = connection.scalar(select(func.now()))  # type: ignore[assignment]
    users, teams = {row.owner_id for row in candidates}, {row.team_id for row in candidates}
    busy = [*sent, *connection.execute(at_work.AT_WORK)]
    past, free = at_work.history(connection, busy, users), at_work.room(connection, busy, users, teams)
    waits = [Waiting(row.id, row.queue, row.team_id, row.owner_id, row.priority, row.queued_at)
             for row in candidates]  # fmt: skip
    picked: list[int] = []
    for one in in_order(waits, past, now):
        if len(picked) < MOST and free.has(one) and windows.has_room(one.queue, requires[one.queue]):
            windows.add(one.queue)
            free.take(one)
            picked.append(one.id)
    return picked


_WAITS = "sent_at IS NULL AND task = 'train.run'"
"""As the index outbox_waiting has it."""
_ANY = text(f"SELECT EXISTS (SELECT FROM outbox WHERE {_WAITS})")  # noqa: S608
_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('dispatch', 0))")
# One look into the index for each (queue, team, user) of which something waits, however much that is
_CANDIDATES = text(f"""
WITH RECURSIVE whose AS (
  (SELECT queue, team_id, owner_id FROM outbox WHERE {_WAITS} ORDER BY queue, team_id, owner_id LIMIT 1)
  UNION ALL
  SELECT next.* FROM whose, LATERAL (
    SELECT queue, team_id, owner_id FROM outbox
    WHERE {_WAITS} AND (queue, team_id, owner_id) > (whose.queue, whose.team_id, whose.owner_id)
    ORDER BY queue, team_id, owner_id LIMIT 1) AS next
)
SELECT first.*, whose.*, jobs.requires FROM whose, LATERAL (
  SELECT id, run_id, priority, queued_at FROM outbox
  WHERE {_WAITS} AND (queue, team_id, owner_id) = (whose.queue, whose.team_id, whose.owner_id)
  ORDER BY priority DESC, queued_at, id LIMIT :most) AS first
JOIN jobs ON jobs.run_id = first.run_id
""")  # noqa: S608
_CHOSEN = (
    select(*Outbox.__table__.c)
    .where(Outbox.id.in_(bindparam("ids", expanding=True)), Outbox.sent_at.is_(None))
    .with_for_update(skip_locked=True)
)
