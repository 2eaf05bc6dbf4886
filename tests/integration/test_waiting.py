"""Jobs that ask for something: they wait in queues of their own, say what for, and go to nodes that have it."""

from typing import Any

import pytest
from flask import Flask

from coordinator import broker
from coordinator.dispatching import waiting
from coordinator.parts import parts
from coordinator.sweeper import Sweeper
from tests.conftest import Template
from tests.integration.database import change, job, outbox, rows
from tests.integration.test_relay import ids, messages, relaying, until_all_is_sent
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode
from wire.names import TASK_TRAIN, TRAIN_QUEUE, task_id, train_queue

Headers = dict[str, str]
GPU = train_queue({"gpu": True})


@pytest.fixture
def run_id(client: Client, owner: Headers) -> str:
    """A job that needs a GPU."""
    answer = client.post(URL, json=body(requires={"gpu": True, "labels": []}), headers=owner)
    return str(answer.json["run_id"])


def hello(node: PlayedNode, **has: Any) -> Any:
    return node.post("/hello", {"slots": 1, "has": has})


def why(app: Flask, run_id: str) -> Any:
    with app.app_context():
        waiting.explain()
    return rows(app, "SELECT waiting_for FROM jobs WHERE run_id = :run_id", run_id=run_id)[0]


def test_a_job_says_what_it_waits_for_until_a_node_that_has_it_claims_it(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode, template: Template
) -> None:
    assert why(app, run_id) == "No node is there."
    assert hello(played, trainers=["mlagents"]).json["queues"] == [TRAIN_QUEUE]
    assert why(app, run_id) == "No node has a GPU."
    shown = client.get(f"{URL}/{run_id}", headers=owner).json
    assert (shown["waiting_for"], shown["requires"]) == ("No node has a GPU.", {"gpu": True})
    other = PlayedNode(app, bearer(template.other_node))
    assert hello(other, trainers=["mlagents"], gpus=["A100"]).json["queues"] == [TRAIN_QUEUE, GPU]
    assert why(app, run_id) is None
    change(app, "UPDATE jobs SET waiting_for = 'No node has a GPU.'")
    assert other.claim(run_id).status_code == 200
    assert client.get(f"{URL}/{run_id}", headers=owner).json["waiting_for"] is None


def test_a_node_that_is_silent_for_long_is_not_there(app: Flask, run_id: str, played: PlayedNode) -> None:
    hello(played, gpus=["A100"])
    change(app, "UPDATE nodes SET last_seen_at = now() - interval '16 seconds'")
    assert why(app, run_id) == "No node is there."


def test_a_job_waits_for_nodes_that_are_busy(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    hello(played, gpus=["A100"])
    played.claim(run_id)
    next_one = str(client.post(URL, json=body(requires={"gpu": True}), headers=owner).json["run_id"])
    assert why(app, next_one) == "All nodes that fit are busy."
    played.hand_in(run_id, status="failed")
    played.finish(run_id)
    assert why(app, next_one) is None


def test_a_node_that_does_not_fit_is_refused_and_the_task_is_sent_again_soon(
    app: Flask, run_id: str, played: PlayedNode
) -> None:
    answer = played.claim(run_id)
    assert (answer.status_code, answer.json["detail"]) == (
        409, f"Run {run_id} is not for this node: it has not a GPU.",
    )  # fmt: skip
    assert (job(app, run_id)[0], outbox(app)) == ("SUBMITTED", [(TASK_TRAIN, 1)])
    soon = "SELECT sent_at BETWEEN now() - interval '15 seconds' AND now() - interval '5 seconds' FROM outbox"
    assert rows(app, soon) == [True]


def test_the_task_goes_to_the_queue_of_what_the_job_asks_for(
    app: Flask, client: Client, owner: Headers, run_id: str, vhost: str
) -> None:
    usual = str(client.post(URL, json=body(), headers=owner).json["run_id"])
    with relaying(app, vhost):
        until_all_is_sent(app)
    assert ids(messages(vhost, GPU)) == [task_id(run_id, 1)]
    assert ids(messages(vhost, TRAIN_QUEUE)) == [task_id(usual, 1)]


def test_what_an_expired_queue_has_lost_is_sent_again(app: Flask, run_id: str, vhost: str) -> None:
    celery = broker.make_celery(vhost, "test")
    sweeper = Sweeper(app, celery, parts(app).storage, lease_seconds=25, every_seconds=1)
    change(app, "UPDATE outbox SET sent_at = now() - interval '1 hour'")
    with app.app_context():
        sweeper.resend()
    assert rows(app, "SELECT sent_at FROM outbox") == [None]
    with relaying(app, vhost):
        until_all_is_sent(app)
    change(app, "UPDATE outbox SET sent_at = now() - interval '1 hour'")
    with app.app_context():
        sweeper.resend()  # it waits there, rightly
    assert rows(app, "SELECT sent_at IS NULL FROM outbox") == [False]
    celery.close()


@pytest.mark.parametrize(
    "has",
    [{"trainers": "mlagents"}, {"gpus": ["x"] * 65}, {"labels": ["two words"]}, {"memory_mb": -1}, {"threads": 0},
     {"memory_mb": 1e300}, {"full": "x" * 301}, {"full": "\x00"}, {"version": 3}, [], {"trainers": [None]}],
)  # fmt: skip
def test_a_node_cannot_say_nonsense_of_itself(played: PlayedNode, has: Any) -> None:
    answer = played.post("/hello", {"slots": 1, "has": has})
    assert answer.status_code == 422
    assert answer.json["detail"].startswith("has")


def test_what_a_node_has_is_shown(client: Client, owner: Headers, played: PlayedNode) -> None:
    hello(played, labels=["a100"], memory_mb=4_000, surplus="ignored")
    (shown,) = [node for node in client.get("/api/v1/node", headers=owner).json if node["last_seen_at"]]
    assert shown["has"]["labels"] == ["a100"]
    assert shown["has"]["memory_mb"] == 4_000
    assert "surplus" not in shown["has"]


@pytest.mark.parametrize("requires", [{"gpu": 1}, {"memory_mb": 0}, {"labels": ["a b"]}, {"labels": ["x"] * 17}, []])
def test_a_job_cannot_ask_for_nonsense(client: Client, owner: Headers, requires: Any) -> None:
    answer = client.post(URL, json=body(requires=requires), headers=owner)
    assert (answer.status_code, answer.json["detail"][:8]) == (422, "requires")
