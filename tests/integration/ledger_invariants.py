"""What must hold of a job whatever has happened to it, in any order and from however many sides at once.

It says nothing of which failure is tried again and how often: whatever the coordinator decides, it must decide it so.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flask import Flask

from coordinator.lifecycle import ACTIVE, TRANSITIONS, JobState
from tests.integration.database import rows
from wire.names import TASK_FINISH, TASK_TRAIN

STATUS = 2


@dataclass(frozen=True)
class Record:
    """All that the database has of a job."""

    job: dict[str, Any]
    attempts: dict[int, dict[str, Any]]
    events: list[dict[str, Any]]
    """The messages, with `final` as stored."""
    tasks: list[tuple[str, int]]
    metrics: list[tuple[int, int]]
    artifacts: list[dict[str, Any]]

    @property
    def state(self) -> JobState:
        return JobState(self.job["state"])


_RECORDS = """
SELECT row_to_json(jobs) AS job,
  (SELECT coalesce(json_agg(attempts ORDER BY number), '[]') FROM attempts WHERE attempts.run_id = jobs.run_id),
  (SELECT coalesce(json_agg(events ORDER BY seq), '[]') FROM events WHERE events.run_id = jobs.run_id),
  (SELECT coalesce(json_agg(json_build_array(task, attempt) ORDER BY task, attempt), '[]') FROM outbox
    WHERE outbox.run_id = jobs.run_id),
  (SELECT coalesce(json_agg(json_build_array(attempt, n) ORDER BY attempt, n), '[]') FROM metrics
    WHERE metrics.run_id = jobs.run_id),
  (SELECT coalesce(json_agg(artifacts), '[]') FROM artifacts WHERE artifacts.run_id = jobs.run_id)
FROM jobs ORDER BY created_at
"""


def records(app: Flask) -> dict[str, Record]:
    """Of all jobs, as they are at one moment."""
    return {
        job["run_id"]: Record(
            job, {its["number"]: its for its in attempts},
            [json.loads(its["frame"]) | {"final": its["final"], "at": its["seq"]} for its in events],
            [(task, attempt) for task, attempt in tasks], [(attempt, n) for attempt, n in metrics], artifacts,
        )
        for job, attempts, events, tasks, metrics, artifacts in rows(app, _RECORDS)
    }  # fmt: skip


def check(now: Record) -> None:
    """Raises AssertionError for a record that must not be."""
    _check_story(now)
    _check_attempts(now)
    _check_tasks(now)
    for attempt in now.attempts.values():
        newest = max((n for number, n in now.metrics if number == attempt["number"]), default=0)
        assert newest <= attempt["facts_recorded"], "a fact is recorded that is not counted"
    if now.state is JobState.SUCCEEDED:
        models = [its for its in now.artifacts if its["kind"] == "model" and its["attempt"] == now.job["attempt"]]
        assert models, "a success without a model"


def check_step(before: Record, now: Record) -> None:
    """Raises AssertionError where the record was not continued but changed."""
    assert now.events[: len(before.events)] == before.events, "an event was changed"
    for number, earlier in before.attempts.items():
        later = now.attempts[number]
        assert later["facts_recorded"] >= earlier["facts_recorded"]
        for once in ("node_id", "claim", "ended_at", "cause"):
            assert earlier[once] in (None, later[once]), f"{once} of attempt {number} was changed"
    if before.job["cancel_requested_at"] and now.job["cancel_requested_at"]:
        assert now.job["attempt"] == before.job["attempt"], "a cancelled job was started again"


def _check_story(now: Record) -> None:
    """The events, read as a game reads them, are a way through the lifecycle that ends in the job's state."""
    assert [its["seq"] for its in now.events] == list(range(1, now.job["last_seq"] + 1)), "seq has a gap"
    first, *rest = now.events
    assert (first["msg_id"], first["state"], first["attempt"]) == (STATUS, JobState.SUBMITTED, 1)
    state = JobState.SUBMITTED
    for earlier, its in pairwise([first, *rest]):
        begins = its["msg_id"] == STATUS and its["state"] == JobState.SUBMITTED
        assert its["attempt"] == earlier["attempt"] + begins, "something of an attempt that is not the current one"
        if its["msg_id"] == STATUS:
            assert its["state"] in TRANSITIONS[state].values(), f"from {state} to {its['state']}"
            state = JobState(its["state"])
        else:
            assert state in ACTIVE, f"{its} while the job was {state}"
        assert its["final"] == (its["msg_id"] == STATUS and state.is_final)
        assert its["at"] == its["seq"]
    assert (state, now.events[-1]["attempt"]) == (now.state, now.job["attempt"]), "not what the games were told"


def _check_attempts(now: Record) -> None:
    current = now.job["attempt"]
    assert all(number in now.attempts for number in range(1, current)), "an attempt was left out"
    assert max(now.attempts, default=1) <= current
    still_open = [number for number, its in now.attempts.items() if its["ended_at"] is None]
    assert still_open == ([current] if now.state in ACTIVE else []), f"open attempts {still_open} in {now.state}"
    for number, its in now.attempts.items():
        assert (its["cause"] is None) == (number in still_open), "an attempt without a cause of its end"
        assert its["ended_at"] is None or its["lease_until"] is None


def _check_tasks(now: Record) -> None:
    """A task waits in the outbox as long as its work is to be done, once."""
    wanted = [(TASK_TRAIN, now.job["attempt"])] if now.state is JobState.SUBMITTED else []
    wanted += [
        (TASK_FINISH, number) for number, its in now.attempts.items()
        if its["outcome"] and not its["ended_at"] and its["facts_recorded"] >= its["outcome"]["facts_sent"]
    ]  # fmt: skip
    assert now.tasks == sorted(wanted), f"in the outbox {now.tasks}, to be done {sorted(wanted)}"
