"""A batch of facts into the tables with two statements, however many facts and jobs it holds.

The recorder's speed is decided here: rows are locked in one query, everything is worked out in memory, and all tables
are written in one more.
"""

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select, text, tuple_

from wire.codec import encode
from wire.facts import Fact

from .. import ledger, messages
from ..extensions import db
from ..ledger import Logged, Told
from ..lifecycle import Change, JobState, advance
from ..models import Attempt, Job

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
    is_awaited: bool
    """Whether its outcome waits for facts; once all are there, its ending is asked for, and only then."""
    facts_sent: int
    logs_recorded: int
    told: list[Told] = field(default_factory=list)
    changes: list[tuple[Change, JobState, JobState]] = field(default_factory=list)
    """For the audit: what happened, and the states before and after."""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    logs: list[tuple[int, str, str]] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is to be told, in order per job, and the facts of attempts that do not exist."""

    told: list[Told]
    logged: list[Logged]
    strays: list[Fact]


def record_facts(facts: list[Fact]) -> Recorded:
    """Stores what is new in `facts` inside the caller's transaction."""
    by_attempt = {key: list(group) for key, group in groupby(sorted(facts, key=_key), key=_key)}
    opened = [_open(row) for row in _lock(list(by_attempt))]
    for it in opened:
        for fact in by_attempt.pop((it.run_id, it.attempt)):
            _take(it, fact)
    _write(opened)
    return Recorded(
        [told for it in opened for told in it.told], [one for it in opened for one in it.logged],
        [fact for some in by_attempt.values() for fact in some],
    )  # fmt: skip


def _key(fact: Fact) -> tuple[UUID, int]:
    return fact.run_id, fact.attempt


_LOCK = (
    select(
        Job.run_id, Job.state, Job.attempt, Job.last_seq, Attempt.number, Attempt.facts_recorded, Attempt.ended_at,
        Attempt.logs_recorded, Attempt.outcome["facts_sent"].as_integer().label("facts_sent"),
    )
    .join(Attempt, Attempt.run_id == Job.run_id)
    .where(tuple_(Attempt.run_id, Attempt.number).in_(bindparam("keys", expanding=True)))
    .order_by(Job.run_id, Attempt.number)  # always in one order: two writers can't block each other
    # both, for after a wait PostgreSQL reads again only the rows it locks: of the other table it would show what was
    # there before, so that facts were recorded twice and outcomes overlooked
    .with_for_update(of=[Job, Attempt])
)  # fmt: skip


def _lock(keys: list[tuple[UUID, int]]) -> list[Row[Any]]:
    return list(db.session.execute(_LOCK, {"keys": keys}))


def _open(row: Row[Any]) -> _Open:
    is_current = row.attempt == row.number and row.ended_at is None
    is_awaited = row.facts_sent is not None and row.facts_recorded < row.facts_sent
    return _Open(row.run_id, row.number, is_current, JobState(row.state), row.last_seq, row.facts_recorded,
                 is_awaited, row.facts_sent or 0, row.logs_recorded)  # fmt: skip


def _take(it: _Open, fact: Fact) -> None:
    """One fact into the attempt's part of the batch: what came before is dropped, what is late is only history."""
    if fact.n <= it.recorded:
        return
    it.recorded = fact.n
    if fact.kind == "metrics":
        its = {"run_id": str(it.run_id), "attempt": it.attempt, "n": fact.n}
        it.metrics.append(its | fact.body | {"statistics": encode(fact.body["statistics"])})
    if fact.kind == "log":
        _log(it, fact)
    elif it.is_current and not it.state.is_final:
        _tell(it, fact)


def _log(it: _Open, fact: Fact) -> None:
    source, content = fact.body["source"], fact.body["text"]
    it.logs.append((fact.n, source, content))
    if it.is_current:
        frame = messages.log(it.attempt, fact.n, source, content)
        it.logged.append(Logged(it.run_id, it.attempt, it.logs_recorded, fact.n, frame))
    it.logs_recorded = fact.n


def _tell(it: _Open, fact: Fact) -> None:
    if fact.kind == "phase":
        change = _PHASES[fact.body["phase"]]
        state = advance(it.state, change)
        if state is None:
            return
        it.changes.append((change, it.state, state))
        it.state = state
        frame: str | None = messages.status(it.run_id, it.last_seq + 1, it.attempt, state, None)
    else:
        frame = messages.metrics(it.last_seq + 1, it.attempt, fact.body)
    if frame is not None:
        it.last_seq += 1
        it.told.append(Told(it.run_id, it.last_seq, False, frame, it.attempt))


# One statement for all tables: each further one would cost a round trip and a plan per batch
_WRITE = text("""
WITH moved_attempts AS (
  UPDATE attempts SET facts_recorded = new.recorded, logs_recorded = new.logs
  FROM unnest(CAST(:run_ids AS uuid[]), CAST(:attempts AS bigint[]), CAST(:recorded AS bigint[]),
              CAST(:logs AS bigint[]))
    AS new(run_id, attempt, recorded, logs)
  WHERE attempts.run_id = new.run_id AND attempts.number = new.attempt
), moved_jobs AS (
  UPDATE jobs SET state = new.state, last_seq = new.seq, updated_at = now()
  FROM unnest(CAST(:told_ids AS uuid[]), CAST(:states AS text[]), CAST(:seqs AS bigint[])) AS new(run_id, state, seq)
  WHERE jobs.run_id = new.run_id
), new_metrics AS (
  INSERT INTO metrics (run_id, attempt, n, behaviour, step, time_elapsed, mean_reward, std_reward, statistics)
  SELECT * FROM unnest(
    CAST(:metric_run_id AS uuid[]), CAST(:metric_attempt AS bigint[]), CAST(:metric_n AS bigint[]),
    CAST(:metric_behaviour AS text[]), CAST(:metric_step AS bigint[]), CAST(:metric_time_elapsed AS float8[]),
    CAST(:metric_mean_reward AS float8[]), CAST(:metric_std_reward AS float8[]), CAST(:metric_statistics AS jsonb[]))
), new_logs AS (
  INSERT INTO log_pieces (run_id, attempt, n, source, text)
  SELECT * FROM unnest(CAST(:log_run_id AS uuid[]), CAST(:log_attempt AS bigint[]), CAST(:log_n AS bigint[]),
                       CAST(:log_source AS text[]), CAST(:log_text AS text[]))
), noted AS (
  INSERT INTO audit (action, object, team_id, actor_type, actor, actor_id, origin, details)
  SELECT 'job.' || new.change, jobs.run_id::text, jobs.team_id, 'node', nodes.name, nodes.id, 'node ' || nodes.name,
         jsonb_build_object('from', new.before, 'to', new.after, 'attempt', new.attempt)
  FROM unnest(CAST(:changed_ids AS uuid[]), CAST(:changed_attempts AS bigint[]), CAST(:changes AS text[]),
              CAST(:before AS text[]), CAST(:after AS text[]))
    WITH ORDINALITY AS new(run_id, attempt, change, before, after, place)
  JOIN jobs ON jobs.run_id = new.run_id
  JOIN attempts ON attempts.run_id = new.run_id AND attempts.number = new.attempt
  JOIN nodes ON nodes.id = attempts.node_id
  ORDER BY new.place
)
INSERT INTO events (run_id, seq, final, frame)
SELECT run_id, seq, false, frame
FROM unnest(CAST(:event_ids AS uuid[]), CAST(:event_seqs AS bigint[]), CAST(:frames AS text[]))
  AS new(run_id, seq, frame)
""")
_CHANGE = ("changed_ids", "changed_attempts", "changes", "before", "after")
_METRIC = ("run_id", "attempt", "n", "behaviour", "step", "time_elapsed", "mean_reward", "std_reward", "statistics")


def _write(opened: list[_Open]) -> None:
    if not opened:
        return
    changed = [it for it in opened if it.told]
    told = [one for it in changed for one in it.told]
    changes = [(str(it.run_id), it.attempt, *(str(word) for word in change)) for it in changed for change in it.changes]
    metrics = [row for it in opened for row in it.metrics]
    db.session.connection().execute(_WRITE, {
        "run_ids": [str(it.run_id) for it in opened],
        "attempts": [it.attempt for it in opened],
        "recorded": [it.recorded for it in opened],
        "logs": [it.logs_recorded for it in opened],
        "log_run_id": [str(it.run_id) for it in opened for _ in it.logs],
        "log_attempt": [it.attempt for it in opened for _ in it.logs],
        "log_n": [n for it in opened for n, _, _ in it.logs],
        "log_source": [source for it in opened for _, source, _ in it.logs],
        "log_text": [content for it in opened for _, _, content in it.logs],
        "told_ids": [str(it.run_id) for it in changed],
        "states": [str(it.state) for it in changed],
        "seqs": [it.last_seq for it in changed],
        "event_ids": [str(one.run_id) for one in told],
        "event_seqs": [one.seq for one in told],
        "frames": [one.frame for one in told],
        **{name: [row[place] for row in changes] for place, name in enumerate(_CHANGE)},
    } | {f"metric_{name}": [row[name] for row in metrics] for name in _METRIC})  # fmt: skip
    for it in opened:
        if it.is_awaited and it.recorded >= it.facts_sent:
            _complete(it)


def _complete(it: _Open) -> None:
    found = ledger.lock_attempt(it.run_id, it.attempt)
    if found:
        ledger.finish_if_complete(*found)
