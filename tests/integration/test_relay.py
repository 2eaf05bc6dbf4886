"""The outbox to a real broker: confirmed, repeated until it is, and not sent twice for nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from kombu import Connection

from coordinator import broker
from coordinator.dispatching.relay import Relay
from services.platform import wait_until
from services.stack import Stack
from tests.brokers import port_of
from tests.gate import Gate
from tests.integration.database import change, outbox, rows
from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode
from wire.names import TASK_FINISH, TASK_LOST, TASK_OUTCOME, TASK_TRAIN, task_id

pytestmark = pytest.mark.usefixtures("room")
Headers = dict[str, str]
UNSENT = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"


@contextmanager
def relaying(app: Flask, url: str) -> Iterator[None]:
    """The relay as a thread of the recorder, over the broker at this address."""
    stop, celery = threading.Event(), broker.make_celery(url, "test")
    thread = threading.Thread(target=Relay(app, celery).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        celery.close()
    assert not thread.is_alive()


def messages(url: str, queue: str) -> list[Any]:
    """All messages that wait in a queue, which is empty afterwards."""
    with Connection(url) as connection, connection.SimpleQueue(queue, queue_opts={"no_declare": True}) as waiting:
        found = []
        while message := waiting.queue(connection.default_channel).get(no_ack=True):
            found.append(message)
    return found


def ids(found: list[Any]) -> list[str]:
    return [message.headers["id"] for message in found]


def submit(client: Client, headers: Headers, count: int) -> list[str]:
    return [str(client.post(URL, json=body(), headers=headers).json["run_id"]) for _ in range(count)]


def until_all_is_sent(app: Flask) -> None:
    wait_until(lambda: rows(app, UNSENT) == [0], 30, "the outbox to be sent")


@pytest.fixture
def gate(stack: Stack) -> Iterator[Gate]:
    made = Gate(port_of(stack.env["BROKER_URL"]))
    yield made
    made.shut()


def test_a_training_task_says_where_its_outcome_goes(app: Flask, run_id: str, vhost: str) -> None:
    with relaying(app, vhost):
        until_all_is_sent(app)
    (message,) = messages(vhost, "train")
    args, kwargs, embedded = json.loads(message.body)
    assert message.headers["task"] == TASK_TRAIN
    assert message.headers["id"] == task_id(run_id, 1)
    assert (args, kwargs) == ([], {"run_id": run_id, "attempt": 1})
    assert [link["task"] for link in embedded["callbacks"]] == [TASK_OUTCOME]
    assert [(link["task"], link["args"]) for link in embedded["errbacks"]] == [(TASK_LOST, [run_id, 1])]
    assert (message.properties["priority"], message.properties["delivery_mode"]) == (5, 2)
    assert outbox(app) == [(TASK_TRAIN, 1)]


def test_an_ending_goes_to_the_results_worker(app: Flask, run_id: str, played: PlayedNode, vhost: str) -> None:
    played.claim(run_id)
    played.hand_in(run_id, status="failed")
    with relaying(app, vhost):
        until_all_is_sent(app)
    (message,) = messages(vhost, "coord")
    assert message.headers["task"] == TASK_FINISH
    assert json.loads(message.body)[1] == {"run_id": run_id, "attempt": 1}


def test_what_comes_while_it_runs_is_sent_once_each(app: Flask, client: Client, owner: Headers, vhost: str) -> None:
    with relaying(app, vhost):
        runs = submit(client, owner, 20)
        until_all_is_sent(app)
    assert sorted(ids(messages(vhost, "train"))) == sorted(task_id(run_id, 1) for run_id in runs)


def test_tasks_of_both_queues_in_one_batch_are_all_confirmed(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str
) -> None:
    ended = submit(client, owner, 10)
    for run_id in ended:
        played.claim(run_id)
        played.hand_in(run_id, status="failed")
    waiting = submit(client, owner, 10)
    with relaying(app, vhost):
        until_all_is_sent(app)
    assert len(messages(vhost, "coord")) == len(ended)
    assert sorted(ids(messages(vhost, "train"))) == sorted(task_id(run_id, 1) for run_id in waiting)


def test_while_the_broker_is_away_tasks_wait_and_are_then_sent_once_each(
    app: Flask, client: Client, owner: Headers, vhost: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with relaying(app, gate.url(vhost)):
        runs = submit(client, owner, 3)
        until_all_is_sent(app)
        gate.shut()
        runs += submit(client, owner, 3)
        wait_until(lambda: "The outbox waits" in caplog.text, 30, "the relay to notice")
        assert rows(app, UNSENT) == [3]
        gate.open()
        until_all_is_sent(app)
    assert sorted(ids(messages(vhost, "train"))) == sorted(task_id(run_id, 1) for run_id in runs)


def test_a_broker_that_is_not_there_yet_is_waited_for(
    app: Flask, run_id: str, vhost: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.shut()
    with relaying(app, gate.url(vhost)):
        wait_until(lambda: "The outbox waits" in caplog.text, 30, "the relay to notice")
        gate.open()
        until_all_is_sent(app)
    assert ids(messages(vhost, "train")) == [task_id(run_id, 1)]


def test_two_relays_share_the_work(app: Flask, client: Client, owner: Headers, vhost: str) -> None:
    with relaying(app, vhost), relaying(app, vhost):
        runs = submit(client, owner, 30)
        until_all_is_sent(app)
    assert sorted(ids(messages(vhost, "train"))) == sorted(task_id(run_id, 1) for run_id in runs)


def test_a_lost_notification_costs_a_second_only(app: Flask, run_id: str, vhost: str) -> None:
    with relaying(app, vhost):
        until_all_is_sent(app)
        change(app, "UPDATE outbox SET sent_at = NULL")
        until_all_is_sent(app)
    assert ids(messages(vhost, "train")) == [task_id(run_id, 1)] * 2
