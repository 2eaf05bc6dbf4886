"""Garbage in the queues: each piece is set aside and counted, and what is good goes on as if nothing had happened."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from coordinator.broker import OUTCOME_QUEUE, declare_all, make_celery, send_training
from services.platform import Platform, wait_until
from services.ports import free_ports
from services.process import Process
from tests.garbage import ANYWHERE, LARGE, Piece, events, publish, tasks
from tests.integration.live import new_run, watch
from tests.jobs import metric
from tests.stub_node import MODEL, StubNode
from wire import names

FLOOD, CHUNK = 1_000, 50


def counted(platform: Platform) -> dict[str, int]:
    """How many messages were set aside so far, by source."""
    with psycopg2.connect(platform.env["DATABASE_URL"].replace("+psycopg2", "")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT source, count FROM rejected_counts")
        return dict(cursor.fetchall())


def flood(platform: Platform, node: StubNode, run_id: str, exchange: str, key: str, pieces: list[Piece]) -> int:
    """Garbage in chunks, and between them a good fact each."""
    sent = publish(platform.env["BROKER_URL"], exchange, key, [LARGE])
    for n in range(FLOOD // CHUNK):
        some = (pieces[n * CHUNK % len(pieces) :] + pieces)[: len(pieces)]
        sent += publish(platform.env["BROKER_URL"], exchange, key, some[:CHUNK], CHUNK)
        node.say(run_id, metric(2_000 + n))
    return sent


def test_a_flood_of_garbage_for_the_recorder_is_set_aside_and_counted_and_every_fact_recorded(
    platform: Platform, stub_node: StubNode
) -> None:
    run_id, before = new_run(platform), counted(platform).get("events", 0)
    viewer = watch(platform, run_id)
    stub_node.claim(run_id)
    sent = flood(platform, stub_node, run_id, names.EVENT_EXCHANGE, names.EVENT_ROUTING_KEY,
                 ANYWHERE + events(run_id))  # fmt: skip
    stub_node.succeed(run_id)
    viewer.finish()
    assert [told["step"] for told in viewer.metrics] == [2_000 + n for n in range(FLOOD // CHUNK)]
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)
    wait_until(lambda: counted(platform).get("events", 0) >= before + sent, 30, "all garbage to be counted")
    assert counted(platform)["events"] == before + sent


def test_a_flood_of_garbage_for_results_is_set_aside_and_counted_and_every_outcome_recorded(
    platform: Platform, stub_node: StubNode
) -> None:
    run_id, before = new_run(platform), sum(counted(platform).values())
    viewer = watch(platform, run_id)
    stub_node.claim(run_id)
    pieces = ANYWHERE + tasks(names.TASK_OUTCOME) + tasks(names.TASK_LOST) + tasks(names.TASK_FINISH)
    sent = flood(platform, stub_node, run_id, names.OUTCOME_EXCHANGE, names.OUTCOME_QUEUE, pieces)
    stub_node.succeed(run_id)
    viewer.finish()
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)
    wait_until(lambda: sum(counted(platform).values()) >= before + sent, 30, "all garbage to be counted")
    assert sum(counted(platform).values()) == before + sent


def test_what_was_set_aside_is_shown_with_its_reason(platform: Platform) -> None:
    before = counted(platform).get("coord", 0)
    publish(platform.env["BROKER_URL"], names.OUTCOME_EXCHANGE, names.OUTCOME_QUEUE, tasks("no.such")[:1])
    wait_until(lambda: counted(platform).get("coord", 0) > before, 30, "the message to be set aside")
    shown = platform.run("flask --app wsgi rejected --limit 1")
    assert f"coord: {before + 1}," in shown
    assert "coord: The task 'no.such' is not known here." in shown


def test_garbage_on_the_way_to_the_web_is_skipped(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    odd = [
        (json.dumps(it).encode(), {"content_type": "application/json"})
        for it in ({"events": [[]]}, {"events": 1}, {"events": [], "logs": [1]}, {"attempts": {"x": 1}, "events": []})
    ]
    for exchange, key in (
        (names.FANOUT_EXCHANGE, ""), (names.STATE_EXCHANGE, run_id), ("celery.pidbox", ""), ("celeryev", "task.x"),
    ):  # fmt: skip
        publish(platform.env["BROKER_URL"], exchange, key, [*ANYWHERE, LARGE, *odd])
    stub_node.train(run_id)
    viewer.finish()
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)


@pytest.fixture
def node_worker(platform: Platform, vhost: str, tmp_path: Path) -> Any:
    """A training node's worker on an empty virtual host, so that it takes nobody else's jobs. It is a node of its own:
    the one that others play must not be told to end."""
    worker = Process("node", tmp_path / "node.log", tmp_path / "node.pid")
    environ = {**platform.environment("node"), **platform.enroll("alone"), "BROKER_URL": vhost,
               "NODE_DATA_DIR": str(tmp_path / "data"),
               "BRIDGE_ADDRESS": f"127.0.0.1:{free_ports(1, set())[0]}"}  # fmt: skip
    command = (Path(__file__).parents[2] / "Procfile").read_text().partition("\nnode: ")[2].partition("\n")[0]
    worker.start(["sh", "-c", f"exec {command}"], environ, Path(__file__).parents[2])
    yield worker
    worker.stop()


def test_a_flood_of_garbage_for_a_node_is_handed_to_the_coordinator_and_the_node_goes_on(
    node_worker: Process, vhost: str
) -> None:
    celery = make_celery(vhost, "test")
    with celery.connection_for_write() as connection:
        declare_all(connection.default_channel)
        pieces = ANYWHERE + tasks(names.TASK_TRAIN)
        sent = publish(vhost, names.TRAIN_EXCHANGE, names.TRAIN_QUEUE, [*pieces, LARGE], FLOOD)
        send_training(celery, celery.amqp.Producer(connection), uuid4(), 1, 5)
        told: list[str] = []
        outcomes = connection.Consumer(
            [OUTCOME_QUEUE], on_message=lambda it: told.append(it.headers["task"]), no_ack=True
        )
        with outcomes:
            while names.TASK_OUTCOME not in told or len(told) <= sent:
                connection.drain_events(timeout=60)
    assert told.count(names.TASK_REJECTED) == sent
    assert told.count(names.TASK_OUTCOME) == 1
    assert node_worker.running
