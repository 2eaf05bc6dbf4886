"""Trainings are held back until nodes have room, and then come in a fair order; over a real broker."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask
from kombu import Connection

from coordinator.accounts import users
from coordinator.dispatching import dispatch, waiting
from coordinator.extensions import db
from coordinator.parts import parts
from services.platform import wait_until
from tests.conftest import Template
from tests.integration.database import change, rows
from tests.integration.test_relay import relaying, submit
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode
from wire.names import TASK_TRAIN, TRAIN_QUEUE, train_queue

Headers = dict[str, str]
SENT = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL"
GPU = train_queue({"gpu": True})
HAS = {"trainers": ["mlagents"], "gpus": ["A100"]}


class Lab:
    """A node of so many slots: takes trainings from the broker one by one, and ends them by failing."""

    def __init__(self, app: Flask, connection: Connection, node: PlayedNode, slots: int) -> None:
        self._app, self._connection, self._node = app, connection, node
        self._at_work: list[str] = []
        self.takes_from = [TRAIN_QUEUE, GPU]
        node.post("/hello", {"slots": slots, "has": HAS})

    def start(self) -> str:
        """The next training that a free slot takes."""
        found: list[str] = []
        wait_until(lambda: found.extend(self._get()) or found, 20, "the next training to be sent")
        assert self._node.claim(found[0]).status_code == 200
        self._at_work.append(found[0])
        return found[0]

    def go_on(self) -> str:
        """The training that was begun first ends; the one that takes its slot."""
        ended = self._at_work.pop(0)
        self._node.hand_in(ended, status="failed")
        self._node.finish(ended)
        return self.start()

    def _get(self) -> list[str]:
        for queue in self.takes_from:
            if not self._is_wanted(queue) or not _has_queue(self._connection, queue):
                continue  # the relay declares a queue when it sends the first training there
            if message := self._connection.default_channel.basic_get(queue, no_ack=True):
                return [message.headers["id"].partition(".")[0]]
        return []

    def _is_wanted(self, queue: str) -> bool:
        return rows(self._app, "SELECT EXISTS (SELECT FROM jobs WHERE queue = :queue)", queue=queue) == [True]


@contextmanager
def lab(app: Flask, url: str, node: PlayedNode, slots: int) -> Iterator[Lab]:
    with Connection(url) as connection, relaying(app, url):
        wait_until(lambda: _has_queue(connection), 20, "the relay to make its queues")
        yield Lab(app, connection, node, slots)


def _has_queue(connection: Connection, queue: str = TRAIN_QUEUE) -> bool:
    with Connection(connection.as_uri(include_password=True)) as its:
        try:
            its.default_channel.queue_declare(queue, passive=True)
        except its.channel_errors:
            return False
    return True


def gpu_job(client: Client, headers: Headers) -> str:
    return str(client.post(URL, json=body(requires={"gpu": True}), headers=headers).json["run_id"])


def test_of_many_jobs_no_more_are_sent_than_slots_are_free_and_one(
    app: Flask, client: Client, owner: Headers, vhost: str, played: PlayedNode
) -> None:
    with lab(app, vhost, played, slots=3) as its:
        submit(client, owner, 30)
        wait_until(lambda: rows(app, SENT) == [4], 20, "four to be sent")
        for _ in range(3):
            its.start()
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        its.go_on()
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        assert rows(app, "SELECT count(*) FROM outbox") == [26]


@pytest.mark.parametrize("slots", [1, 4])
def test_somebodys_many_jobs_keep_anothers_first_from_no_more_than_one_slot(
    app: Flask, client: Client, owner: Headers, stranger: Headers, vhost: str, played: PlayedNode, slots: int
) -> None:
    with lab(app, vhost, played, slots) as its:
        submit(client, owner, 100)
        for _ in range(slots):
            its.start()
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        (late,) = submit(client, stranger, 1)
        assert late in [its.go_on(), its.go_on()]


def test_jobs_that_ask_for_something_are_no_way_around(
    app: Flask, client: Client, owner: Headers, stranger: Headers, vhost: str, played: PlayedNode
) -> None:
    """Two queues, from which one node takes."""
    with lab(app, vhost, played, slots=1) as its:
        for _ in range(5):
            gpu_job(client, owner)
            submit(client, owner, 1)
        its.start()
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        (late,) = submit(client, stranger, 1)
        assert late in [its.go_on(), its.go_on()]


def test_one_users_jobs_start_by_priority_and_then_by_age(
    app: Flask, client: Client, owner: Headers, vhost: str, played: PlayedNode
) -> None:
    with lab(app, vhost, played, slots=1) as its:
        submit(client, owner, 2)  # one is at work, one lies ready
        its.start()
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        wanted = {priority: client.post(URL, json=body(priority=priority), headers=owner).json["run_id"]
                  for priority in (3, 1, 5, 2)}  # fmt: skip
        (last,) = submit(client, owner, 1)
        its.go_on()
        assert [its.go_on() for _ in range(5)] == [wanted[5], last, wanted[3], wanted[2], wanted[1]]


def test_a_job_whose_node_was_lost_has_not_lost_its_turn(
    app: Flask, client: Client, owner: Headers, vhost: str, played: PlayedNode
) -> None:
    with lab(app, vhost, played, slots=1) as its:
        first, second, *_ = submit(client, owner, 9)
        assert its.start() == first
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        played.lose(first)
        assert its.start() == second
        assert rows(app, "SELECT CAST(run_id AS text) FROM outbox WHERE sent_at IS NOT NULL") in ([], [first])
        wait_until(lambda: rows(app, SENT) == [1], 20, "one more to lie ready")
        assert rows(app, "SELECT CAST(run_id AS text), attempt FROM outbox WHERE sent_at IS NOT NULL") == [(first, 2)]


def test_what_no_node_can_train_keeps_nothing_else_waiting(
    app: Flask, client: Client, owner: Headers, vhost: str, template: Template, pipeline: None
) -> None:
    node = PlayedNode(app, bearer(template.node))
    with lab(app, vhost, node, slots=1):
        node.post("/hello", {"slots": 1, "has": {"trainers": ["mlagents"]}})
        for _ in range(3):
            gpu_job(client, owner)
        wait_until(lambda: rows(app, SENT) == [1], 20, "one to be sent, though nobody takes it")
        (usual,) = submit(client, owner, 1)
        wait_until(lambda: rows(app, SENT) == [2], 20, "the other to be sent")
        change(app, "DELETE FROM outbox WHERE queue <> :queue", queue=TRAIN_QUEUE)
        assert rows(app, "SELECT CAST(run_id AS text), task FROM outbox") == [(usual, TASK_TRAIN)]


def test_what_no_node_can_train_counts_for_no_limit(
    app: Flask, client: Client, owner: Headers, vhost: str, template: Template, pipeline: None
) -> None:
    node = PlayedNode(app, bearer(template.node))
    with app.app_context():
        parts(app).limits.put("jobs_active", 1, users.named("owner"))
    with lab(app, vhost, node, slots=1) as its:
        node.post("/hello", {"slots": 1, "has": {"trainers": ["mlagents"]}})
        its.takes_from = [TRAIN_QUEUE]
        gpu_job(client, owner)
        wait_until(lambda: rows(app, SENT) == [1], 20, "it to be sent, though nobody takes it")
        usual = submit(client, owner, 2)
        assert its.start() == usual[0]
        with app.app_context():
            waiting.explain()
        assert rows(app, "SELECT waiting_for FROM jobs WHERE run_id = :it", it=usual[1]) == [waiting.USER_IS_FULL]
        assert its.go_on() == usual[1]


def test_the_choice_is_quick_among_ten_thousand_that_wait(
    app: Flask, client: Client, owner: Headers, vhost: str, played: PlayedNode
) -> None:
    """Of fifty users; ten milliseconds each time are far from being noticed."""
    submit(client, owner, 1)
    change(app, "INSERT INTO users (id, name) SELECT gen_random_uuid(), 'user ' || n FROM generate_series(1, 50) n")
    change(app, MANY)
    change(app, "ANALYZE outbox")
    assert rows(app, "SELECT count(*) FROM outbox") == [10_001]
    with app.app_context():
        seconds = min(_seconds_of_a_choice() for _ in range(5))
    assert seconds < 0.1


MANY = """
WITH them AS (SELECT id, row_number() OVER () AS k FROM users WHERE name LIKE 'user %'), made AS (
INSERT INTO jobs (run_id, owner_id, team_id, job_type, state, agent_config, env_id, agent_id, num_of_areas, behaviour,
                  steps, steps_before, steps_trained, seed, priority, attempt, first_attempt, last_seq, replay_from)
SELECT gen_random_uuid(), them.id, jobs.team_id, job_type, state, agent_config, env_id, agent_id, num_of_areas,
       behaviour, steps, 0, 0, 1, 1 + n % 10, 1, 1, 1, 0 FROM jobs, generate_series(1, 200) n, them
RETURNING run_id, owner_id, team_id, priority, queued_at)
INSERT INTO outbox (task, run_id, attempt, priority, owner_id, team_id, queued_at)
SELECT 'train.run', run_id, 1, priority, owner_id, team_id, queued_at FROM made
"""


def _seconds_of_a_choice() -> float:
    with db.engine.connect() as connection:
        began = time.perf_counter()
        assert len(dispatch.due(connection)) == 1
        return time.perf_counter() - began
