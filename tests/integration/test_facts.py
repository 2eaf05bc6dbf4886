"""Facts into PostgreSQL: at least once in, exactly once kept, and numbered without gaps for whoever watches."""

import json
import threading
from uuid import UUID, uuid4

import pytest
from flask import Flask

from coordinator import ledger
from coordinator.extensions import db
from coordinator.ledger import Told
from coordinator.pipeline.batch import record_facts
from coordinator.recorder import Came, record_messages
from coordinator.senders import Senders
from tests.integration.database import job, outbox, rows, seqs, until_somebody_waits_for_a_lock
from tests.jobs import metric, phase
from tests.played_node import PlayedNode, event
from wire.codec import decode
from wire.facts import Outcome, facts_from_wire
from wire.names import TASK_FINISH

FACTS = [phase("STARTING"), phase("RUNNING"), metric(1_000), metric(2_000)]
REJECTED = "SELECT reason FROM rejected_messages ORDER BY id"
METRICS = "SELECT attempt, n, step FROM metrics ORDER BY attempt, n"


@pytest.fixture
def claimed(run_id: str, played: PlayedNode) -> str:
    assert played.claim(run_id).status_code == 200
    return run_id


def record(app: Flask, *bodies: bytes) -> None:
    with app.app_context():
        record_messages([Came(body) for body in bodies], Senders())


def test_facts_are_kept_and_told_in_their_order(app: Flask, claimed: str, played: PlayedNode, told: list[Told]) -> None:
    told.clear()
    played.say(claimed, *FACTS)
    frames = [json.loads(one.frame) for one in told]
    assert [one.seq for one in told] == [frame["seq"] for frame in frames] == [3, 4, 5, 6]
    assert [frame.get("status") or frame["step"] for frame in frames] == ["STARTING", "RUNNING", 1_000, 2_000]
    assert job(app, claimed) == ("RUNNING", 1, None)
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]
    assert rows(app, METRICS) == [(1, 3, 1_000), (1, 4, 2_000)]


def test_facts_that_come_again_insert_nothing(app: Flask, claimed: str, played: PlayedNode, told: list[Told]) -> None:
    played.say(claimed, *FACTS)
    told.clear()
    played.say(claimed, *FACTS)
    played.say(claimed, FACTS[3], metric(3_000), first=4)
    assert [json.loads(one.frame)["step"] for one in told] == [3_000]
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6, 7]
    assert rows(app, METRICS) == [(1, 3, 1_000), (1, 4, 2_000), (1, 5, 3_000)]


def test_facts_that_come_twice_in_one_batch_are_kept_once(app: Flask, claimed: str, pipeline: None) -> None:
    record(app, event(claimed, *FACTS), event(claimed, *FACTS), event(claimed, FACTS[3], first=4))
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]
    assert rows(app, REJECTED) == []


def test_a_batch_may_hold_facts_of_many_runs(app: Flask, claimed: str, other_run_id: str, played: PlayedNode) -> None:
    played.claim(other_run_id)
    record(app, event(claimed, FACTS[0]), event(other_run_id, *FACTS), event(claimed, *FACTS[1:], first=2))
    assert seqs(app, claimed) == seqs(app, other_run_id) == [1, 2, 3, 4, 5, 6]


def test_a_summary_without_an_episode_is_kept_but_not_told(
    app: Flask, claimed: str, played: PlayedNode, told: list[Told]
) -> None:
    told.clear()
    played.say(claimed, metric(1_000, None), metric(2_000))
    assert [(one.seq, json.loads(one.frame)["step"]) for one in told] == [(3, 2_000)]
    assert rows(app, METRICS) == [(1, 1, 1_000), (1, 2, 2_000)]


def test_a_late_starting_does_not_take_a_run_back(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.say(claimed, phase("RUNNING"), phase("STARTING"))
    assert job(app, claimed)[0] == "RUNNING"
    assert seqs(app, claimed) == [1, 2, 3]


def test_facts_of_an_attempt_that_is_over_are_history(
    app: Flask, claimed: str, played: PlayedNode, told: list[Told]
) -> None:
    played.say(claimed, FACTS[0])
    played.lose(claimed)
    played.claim(claimed, 2)
    told.clear()
    before = seqs(app, claimed)
    played.say(claimed, phase("RUNNING"), metric(9_000), first=2)
    assert (told, seqs(app, claimed), job(app, claimed)) == ([], before, ("RETRIEVED", 2, None))
    assert rows(app, METRICS) == [(1, 3, 9_000)]


def test_facts_after_the_end_change_nothing(app: Flask, claimed: str, played: PlayedNode, told: list[Told]) -> None:
    played.hand_in(claimed, status="failed", error="It broke.")
    played.finish(claimed)
    told.clear()
    played.say(claimed, phase("RUNNING"), metric(1_000))
    assert (told, job(app, claimed)) == ([], ("FAILED", 1, "It broke."))


def test_facts_of_an_attempt_that_never_was_are_set_aside(app: Flask, claimed: str, pipeline: None) -> None:
    unknown = str(uuid4())
    record(app, event(unknown, FACTS[0]), event(claimed, FACTS[0], attempt=7), event(claimed, *FACTS))
    assert sorted(rows(app, REJECTED)) == sorted(
        [f"There is no attempt 1 of run {unknown}.", f"There is no attempt 7 of run {claimed}."]
    )
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("poison", [
    b"", b"nonsense", b"[]", b"\xff", b'{"type":"worker-heartbeat"}', b'{"type":"training-facts"}', b"{" * 100_000,
    event("nonsense", FACTS[0]), event(str(UUID(int=1)), {"kind": "phase", "phase": "DANCING"}),
], ids=lambda body: repr(body[:30]))  # fmt: skip
def test_a_message_that_nobody_can_read_is_set_aside_and_the_rest_recorded(
    app: Flask, claimed: str, pipeline: None, poison: bytes
) -> None:
    record(app, event(claimed, *FACTS[:2]), poison, event(claimed, *FACTS[2:], first=3))
    assert len(rows(app, REJECTED)) == 1
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("poison", [
    metric(1_500) | {"behaviour": "nul \0"}, metric(1_500) | {"behaviour": "half \ud800"},
    metric(1_500) | {"statistics": {"Losses": {"\0": 1.0}}},
    metric(1_500) | {"statistics": {"Losses": {"\udfff": 1.0}}},
], ids=["NUL in a name", "half a character in a name", "NUL in a statistic", "half one in a statistic"])  # fmt: skip
def test_a_fact_that_only_the_database_refuses_is_set_aside_and_the_rest_recorded(
    app: Flask, claimed: str, pipeline: None, poison: dict[str, object]
) -> None:
    text = json.dumps({"type": "training-facts", "run_id": claimed, "attempt": 1, "facts": [{"n": 4} | poison]})
    record(app, event(claimed, *FACTS[:3]), text.encode(), event(claimed, FACTS[3], first=5))
    assert len(rows(app, REJECTED)) == 1
    assert rows(app, METRICS) == [(1, 3, 1_000), (1, 5, 2_000)]
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]


def test_an_outcome_waits_for_the_facts_before_it(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, status="failed", facts_sent=4, error="It broke.")
    played.say(claimed, *FACTS[:3])
    assert (job(app, claimed)[0], outbox(app)) == ("RUNNING", [])
    played.say(claimed, FACTS[3], first=4)
    assert outbox(app) == [(TASK_FINISH, 1)]


def test_an_outcome_after_its_facts_waits_for_nothing(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.say(claimed, *FACTS)
    played.hand_in(claimed, status="failed", facts_sent=4)
    assert outbox(app) == [(TASK_FINISH, 1)]


def test_the_first_outcome_counts(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, status="failed", error="The first.")
    played.hand_in(claimed, status="interrupted", error="The second.")
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "The first.")


def test_an_outcome_that_comes_in_between_is_not_overlooked(app: Flask, claimed: str, played: PlayedNode) -> None:
    """Facts wait for the job's row while the outcome is stored: afterwards one of the two must see both."""
    facts = threading.Thread(target=played.say, args=(claimed, *FACTS))
    with app.app_context():
        found = ledger.lock_attempt(UUID(claimed), 1)
        assert found is not None
        facts.start()
        until_somebody_waits_for_a_lock(app)
        found[1].outcome = Outcome(UUID(claimed), 1, "failed", facts_sent=4).to_wire()
        ledger.finish_if_complete(*found)
        db.session.commit()
    facts.join(10)
    assert outbox(app) == [(TASK_FINISH, 1)]


def test_two_recorders_with_the_same_facts_record_them_once(app: Flask, claimed: str, played: PlayedNode) -> None:
    """As when one lost its connection in the middle of a batch, and the broker gave the batch to the other."""
    second = threading.Thread(target=played.say, args=(claimed, *FACTS))
    with app.app_context():
        record_facts(facts_from_wire(decode(event(claimed, *FACTS))))
        second.start()
        until_somebody_waits_for_a_lock(app)
        db.session.commit()
    second.join(10)
    assert seqs(app, claimed) == [1, 2, 3, 4, 5, 6]
    assert rows(app, METRICS) == [(1, 3, 1_000), (1, 4, 2_000)]
    assert rows(app, REJECTED) == []


def test_recorders_that_race_leave_no_gap_and_no_double(app: Flask, claimed: str, played: PlayedNode) -> None:
    together = threading.Barrier(3)

    def record_all(size: int) -> None:
        together.wait(10)
        for first in range(1, 61, size):
            played.say(claimed, *(metric(n * 100) for n in range(first, first + size)), first=first)

    threads = [threading.Thread(target=record_all, args=(size,)) for size in (1, 4, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seqs(app, claimed) == list(range(1, 63))
    assert rows(app, METRICS) == [(1, n, n * 100) for n in range(1, 61)]
    assert rows(app, REJECTED) == []
