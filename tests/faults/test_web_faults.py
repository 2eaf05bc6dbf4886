"""A web that stands still, and one whose database is away: those who watch wait or come back, and miss nothing."""

import json
import os
import signal
import time
from pathlib import Path

import psycopg2
from kombu import Connection

from coordinator.broker import FANOUT_EXCHANGE
from services.platform import Platform, wait_until
from services.proc import pids_with_parent
from services.stack import Stack
from tests.integration.gated import gated_web
from tests.integration.live import Faithful, connect, farewell, new_run, watch
from tests.integration.test_web_faults import (
    REPAIRED_SECONDS,
    TRY_AGAIN,
    begin,
    check_that_nothing_is_missed,
    two_webs,
)
from tests.jobs import metric
from tests.stub_node import MODEL, StubNode

__all__ = ["two_webs"]  # a fixture
FROZEN_SECONDS = 30


def test_a_hundred_viewers_miss_nothing_while_web_processes_are_killed(two_webs: Platform, stub_node: StubNode) -> None:
    check_that_nothing_is_missed(two_webs, stub_node, runs=5, viewers=20, kills=3)


def test_a_web_that_stood_still_while_its_queue_ran_over_reads_what_it_missed(
    platform: Platform, stub_node: StubNode
) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    begin(stub_node, run_id)
    viewer.wait_for(3)
    (worker,) = pids_with_parent(platform.process("web").pid or 0)
    stopped_at = time.monotonic()
    os.kill(worker, signal.SIGSTOP)
    try:
        flood(platform, 5_000, 2_000)  # what the broker can send on its way to a reader that stands still
        stub_node.say(run_id, *(metric(n) for n in range(50)))
        wait_until(lambda: last_seq(platform, run_id) == 53, 20, "the record")
        flood(platform, 25_000, 100)
        time.sleep(max(0.0, stopped_at + FROZEN_SECONDS - time.monotonic()))
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: len(viewer.seqs) == 53, 2 * REPAIRED_SECONDS, "what was missed")
    stub_node.succeed(run_id)
    assert viewer.finish().seqs == list(range(1, 3 + 50 + 2))
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)


def last_seq(platform: Platform, run_id: str) -> int:
    """As the record has it; the web can't be asked."""
    with psycopg2.connect(platform.env["DATABASE_URL"].replace("+psycopg2", "")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT last_seq FROM jobs WHERE run_id = %s", [run_id])
        return int(cursor.fetchone()[0])


def flood(platform: Platform, count: int, size: int) -> None:
    """Messages that are of no job."""
    body = json.dumps({"events": [], "nothing": "x" * size})
    with Connection(platform.env["BROKER_URL"]) as connection:
        producer = connection.Producer(exchange=FANOUT_EXCHANGE)
        for _ in range(count):
            producer.publish(body, content_type="application/json", content_encoding="utf-8", delivery_mode=1)


def test_while_postgresql_is_away_those_who_watch_wait_or_come_back(
    stack: Stack, platform: Platform, stub_node: StubNode, tmp_path: Path
) -> None:
    run_id, other = new_run(platform), new_run(platform)
    with gated_web(stack, platform, tmp_path / "gated") as gated:
        viewers = [Faithful(gated.web, run_id) for _ in range(5)]
        begin(stub_node, run_id)
        wait_until(lambda: all(len(viewer.messages) == 3 for viewer in viewers), 20, "all to watch")
        gated.database.shut()
        began = time.monotonic()
        stub_node.say(run_id, *(metric(n) for n in range(200)))  # more than a socket's queue holds
        late = connect(gated.web, platform.token)
        late.send(json.dumps({"run_id": other}))
        assert farewell(late)[1] == TRY_AGAIN
        assert time.monotonic() - began < 20
        gated.database.open()
        stub_node.succeed(run_id)
        for viewer in viewers:
            assert viewer.finish().seqs == list(range(1, 3 + 200 + 2))
            assert viewer.binaries == [MODEL]
            assert set(viewer.codes) <= {1000, TRY_AGAIN}
