"""No job is lost and none runs twice, whatever becomes of the broker between its submit and its node."""

import threading
import time
from collections.abc import Iterator

import pytest

from services.platform import wait_until
from tests.faults.farm import Farm, farm

NODES, SLOTS = ("lab-1", "lab-2"), 24
WITHIN_SECONDS = 60
CLAIMED = "SELECT count(*) FROM attempts WHERE claimed_at > %s GROUP BY node_id"
NOT_ENDED = "state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')"


@pytest.fixture
def its(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farm(tmp_path_factory.mktemp("farm"), dict.fromkeys(NODES, str(SLOTS // len(NODES)))) as made:
        yield made


def assert_each_ran_once(its: Farm, runs: list[str]) -> None:
    """One attempt, one end, nothing left that asks for more."""
    its.seconds_until(NOT_ENDED, 300, "all jobs to end")
    assert its.rows("SELECT state, count(*) FROM jobs GROUP BY state") == [("SUCCEEDED", len(runs))]
    assert its.rows("SELECT count(*), max(number) FROM attempts") == [(len(runs), 1)]
    assert its.rows("SELECT count(*) FROM events WHERE final") == [len(runs)]
    assert its.rows("SELECT count(*) FROM outbox") == [0]
    assert sorted(its.rows("SELECT CAST(run_id AS text) FROM jobs")) == sorted(runs)


def seconds_until_all_slots_were_taken(its: Farm) -> float:
    """Until from now on each node has begun as many as it has slots. That they are all taken at one moment cannot be
    asked for: trainings this short end as fast as others begin."""
    (now,) = its.rows("SELECT now()")
    began = time.monotonic()

    def were_taken() -> bool:
        counts = its.rows(CLAIMED, now)
        return len(counts) == len(NODES) and min(counts) >= SLOTS // len(NODES)

    wait_until(lambda: were_taken() or its.count("state = 'SUBMITTED'") == 0, WITHIN_SECONDS, "a job in each slot")
    return time.monotonic() - began


def test_two_hundred_submits_outlive_a_broker_that_stops(its: Farm) -> None:
    broker = its.stack.rabbitmq
    assert broker
    runs = its.submit(20)
    stopping = threading.Thread(target=broker.stop)
    stopping.start()
    runs += its.submit(180)
    stopping.join()
    time.sleep(20)  # the outage: nodes and recorder are between two tries to come back
    broker.start()
    seconds = seconds_until_all_slots_were_taken(its)
    print(f"\nof 200 jobs none waited but for a slot {seconds:.1f} s after the broker was back")
    seconds = its.seconds_until("state = 'SUBMITTED'", 300, "no job to wait any more")
    print(f"they were all at work {seconds:.1f} s later")
    assert_each_ran_once(its, runs)


def test_a_hundred_queued_jobs_outlive_the_loss_of_the_brokers_data(its: Farm) -> None:
    running = its.submit(SLOTS, steps=120_000)  # a minute
    its.seconds_until("state <> 'RUNNING'", 60, "all slots to be taken")
    runs = its.submit(100)
    its.lose_the_brokers_data()
    assert its.count("state = 'RUNNING'") == len(running)
    freed = its.seconds_until("steps = 120000 AND state <> 'SUCCEEDED'", 120, "the running ones to end")
    taken = seconds_until_all_slots_were_taken(its)
    print(f"\nof 100 jobs none waited but for a slot {taken:.1f} s after the slots were free, which they were "
          f"{freed:.1f} s after the broker was back")  # fmt: skip
    seconds = its.seconds_until("state = 'SUBMITTED'", 300, "no job to wait any more")
    print(f"they were all at work {seconds:.1f} s later")
    assert_each_ran_once(its, [*running, *runs])
    facts = "SELECT count(*) FROM attempts WHERE facts_recorded <> CAST(outcome ->> 'facts_sent' AS int)"
    assert its.rows(facts) == [0]
