"""A batch of facts into the tables with a fixed number of statements, however many facts and jobs it holds.

The recorder's speed is decided here: rows are locked in one query, everything is worked out in memory, and each table
is written once.
"""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, text, tuple_, select, update

from wire.facts import Fact

from .. import ledger, messages
from ..extensions import db
from ..ledger import Told
from ..lifecycle import Change, JobState, advance
from ..models import Attempt, Job, Metric

_PHASES = {"STARTING": Change.STARTED, "RUNNING": Change.CONNECTED}


@dataclass(slots=True)
class _Open:
    """An attempt whose facts are being recorded, with its job as it was when locked."""

    run_id: UUID
    attempt: int
    is_current: bool
    state: JobState
    last_seq: int
    recorded: int
    facts_sent: int | None
    told: list[Told] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)


def record_facts(facts: list[Fact]) -> list[Told]:
    """Stores what is new in `facts` inside the caller's transaction; the events to be told, in order per job.

    Facts of attempts that nobody has claimed are set aside by the caller's check, not here: they are skipped.
    """
    by_attempt = {key: list(group) for key, group in groupby(sorted(facts, key=_key), key=_key)}
    opened = [_open(row) for row in _lock(list(by_attempt))]
    for it in opened:
        for fact in by_attempt[it.run_id, it.attempt]:
            _take(it, fact)
    _write(opened)
    return [told for it in opened for told in it.told]


def known_attempts(facts: list[Fact]) -> set[tuple[UUID, int]]:
    """Those (run_id, attempt) of the facts that exist."""
    keys = {(fact.run_id, fact.attempt) for fact in facts}
    rows = db.session.execute(
        select(Attempt.run_id, Attempt.number).where(tuple_(Attempt.run_id, Attempt.number).in_(keys))
    )
    return {(row.run_id, row.number) for row in rows}


def _key(fact: Fact) -> tuple[UUID, int]:
    return fact.run_id, fact.attempt


_LOCK = (
    select(
        Job.run_id, Job.state, Job.attempt, Job.last_seq, Attempt.number, Attempt.facts_recorded, Attempt.ended_at,
        Attempt.outcome["facts_sent"].as_integer().label("facts_sent"),
    )
    .join(Attempt, Attempt.run_id == Job.run_id)
    .where(tuple_(Attempt.run_id, Attempt.number).in_(bindparam("keys", expanding=True)))
    .order_by(Job.run_id)  # always in one order: two writers can't block each other
    .with_for_update(of=Job)
)  # fmt: skip


def _lock(keys: list[tuple[UUID, int]]) -> list[Row[Any]]:
    return list(db.session.execute(_LOCK, {"keys": keys}))


def _open(row: Row[Any]) -> _Open:
    is_current = row.attempt == row.number and row.ended_at is None
    return _Open(row.run_id, row.number, is_current, JobState(row.state), row.last_seq, row.facts_recorded,
                 row.facts_sent)  # fmt: skip


def _take(it: _Open, fact: Fact) -> None:
    """One fact into the attempt's part of the batch: what came before is dropped, what is late is only history."""
    if fact.n <= it.recorded:
        return
    it.recorded = fact.n
    if fact.kind == "metrics":
        it.metrics.append({"run_id": it.run_id, "attempt": it.attempt, "n": fact.n, **fact.body})
    if it.is_current and not it.state.is_final:
        _tell(it, fact)


def _tell(it: _Open, fact: Fact) -> None:
    if fact.kind == "phase":
        state = advance(it.state, _PHASES[fact.body["phase"]])
        if state is None:
            return
        it.state = state
        frame: str | None = messages.status(it.run_id, it.last_seq + 1, it.attempt, state, None)
    else:
        frame = messages.metrics(it.last_seq + 1, it.attempt, fact.body)
    if frame is not None:
        it.last_seq += 1
        it.told.append(Told(it.run_id, it.last_seq, False, frame))


_ATTEMPTS = (
    update(Attempt.__table__)  # type: ignore[arg-type]
    .where(Attempt.run_id == bindparam("of_run"), Attempt.number == bindparam("of_number"))
    .values(facts_recorded=bindparam("recorded"))
)
_JOBS = (
    update(Job.__table__)  # type: ignore[arg-type]
    .where(Job.run_id == bindparam("of_run"))
    .values(state=bindparam("new_state"), last_seq=bindparam("new_seq"), updated_at=text("now()"))
)


def _write(opened: list[_Open]) -> None:
    if not opened:
        return
    connection = db.session.connection()
    connection.execute(
        _ATTEMPTS, [{"of_run": it.run_id, "of_number": it.attempt, "recorded": it.recorded} for it in opened]
    )
    if metrics := [row for it in opened for row in it.metrics]:
        connection.execute(insert(Metric), metrics)
    if changed := [it for it in opened if it.told]:
        connection.execute(
            _JOBS, [{"of_run": it.run_id, "new_state": it.state, "new_seq": it.last_seq} for it in changed]
        )
        ledger.store(told for it in changed for told in it.told)
    for it in opened:
        if it.facts_sent is not None and it.recorded >= it.facts_sent:
            _complete(it)


def _complete(it: _Open) -> None:
    found = ledger.lock_attempt(it.run_id, it.attempt)
    if found:
        ledger.finish_if_complete(*found)
