"""Where a job stands and when it will begin: in the order in which jobs really begin, by the speed of what runs."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from coordinator.dispatching import at_work, places
from coordinator.dispatching.turns import Waiting, in_order
from coordinator.extensions import db
from coordinator.models import Job, Outbox
from tests.integration.database import change
from tests.integration.test_dispatch import MANY
from tests.integration.test_relay import submit
from tests.jobs import URL, Client, body, metric, phase
from tests.played_node import PlayedNode

Headers = dict[str, str]


def listed(client: Client, headers: Headers) -> dict[str, Any]:
    return {job["run_id"]: job for job in client.get(URL, headers=headers).json}


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


@pytest.fixture
def busy(client: Client, owner: Headers, played: PlayedNode) -> str:
    """A node with one slot, which has a training of which a quarter is done in 25 s."""
    played.post("/hello", {"slots": 1})
    (run_id,) = submit(client, owner, 1)
    played.claim(run_id)
    return run_id


def half_trained(app: Flask, played: PlayedNode, run_id: str, seconds: int) -> None:
    played.say(run_id, phase("RUNNING"), metric(25_000))
    change(app, "UPDATE attempts SET claimed_at = now() - make_interval(secs => :seconds)", seconds=seconds)


def test_jobs_stand_in_the_order_in_which_they_take_turns(
    app: Flask, client: Client, owner: Headers, stranger: Headers, busy: str
) -> None:
    first, second, third = submit(client, owner, 3)
    (late,) = submit(client, stranger, 1)
    urgent = client.post(URL, json=body(priority=5), headers=owner).json["run_id"]
    change(app, "UPDATE outbox SET priority = 4 WHERE run_id = :run_id", run_id=first)
    mine = {run_id: job["queue_position"] for run_id, job in listed(client, owner).items()}
    assert mine == {busy: None, second: 2, third: 3, urgent: 4, first: 5}
    assert listed(client, stranger)[late]["queue_position"] == 1
    assert client.get(f"{URL}/{first}", headers=owner).json["queue_position"] == 5


def test_what_is_on_its_way_to_a_node_is_first(app: Flask, client: Client, owner: Headers, busy: str) -> None:
    first, second = submit(client, owner, 2)
    change(app, "UPDATE outbox SET sent_at = now() WHERE run_id = :run_id", run_id=second)
    its = listed(client, owner)
    assert [its[run_id]["queue_position"] for run_id in (busy, second, first)] == [None, 1, 2]


def test_a_new_job_is_seen_at_once_and_a_started_one_no_more(
    client: Client, owner: Headers, played: PlayedNode
) -> None:
    first, second = submit(client, owner, 2)
    assert client.get(f"{URL}/{second}", headers=owner).json["queue_position"] == 2
    (third,) = submit(client, owner, 1)
    assert client.get(f"{URL}/{third}", headers=owner).json["queue_position"] == 3
    played.claim(first)
    assert client.get(f"{URL}/{first}", headers=owner).json["queue_position"] is None


def test_it_says_when_it_will_probably_begin(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, busy: str
) -> None:
    """Half of the running one took 100 s, so the first begins in 100 s, and the second when that has taken 200."""
    half_trained(app, played, busy, 100)
    played.post("/hello", {"slots": 1})
    runs = submit(client, owner, 2)
    starts = [client.get(f"{URL}/{run_id}", headers=owner).json["expected_start"] for run_id in runs]
    assert starts[0] is not None
    assert abs(seconds_until(starts[0]) - 100) < 20
    assert starts[1] is None  # nothing has ended yet by which a whole training could be measured
    played.hand_in(busy, status="failed")
    change(app, "UPDATE attempts SET kind = 'succeeded', outcome_at = claimed_at + interval '200 seconds', "
                "ended_at = now()")  # fmt: skip
    starts = [client.get(f"{URL}/{run_id}", headers=owner).json["expected_start"] for run_id in runs]
    assert abs(seconds_until(starts[0])) < 15
    assert abs(seconds_until(starts[1]) - 200) < 20


def test_nobody_knows_when_a_job_begins_that_no_node_can_train(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, busy: str
) -> None:
    half_trained(app, played, busy, 100)
    run_id = client.post(URL, json=body(requires={"gpu": True}), headers=owner).json["run_id"]
    its = client.get(f"{URL}/{run_id}", headers=owner).json
    assert (its["queue_position"], its["expected_start"]) == (1, None)


@pytest.fixture
def ten_thousand(app: Flask, client: Client, owner: Headers, busy: str) -> None:
    """Jobs of fifty users that wait, of all priorities; one of them a day, some with work or a turn."""
    submit(client, owner, 1)
    change(app, "INSERT INTO users (id, name) SELECT gen_random_uuid(), 'user ' || n FROM generate_series(1, 50) n")
    change(app, MANY.replace("FROM jobs,", "FROM (SELECT * FROM jobs LIMIT 1) AS jobs,"))
    change(app, "UPDATE jobs SET state = 'SUBMITTED' WHERE run_id IN (SELECT run_id FROM outbox)")
    change(app, "UPDATE outbox SET queued_at = queued_at - random() * interval '90 minutes'")
    change(app, "INSERT INTO turns SELECT id, now() - random() * interval '1 hour' FROM users WHERE name LIKE '%7'")
    change(
        app, "UPDATE jobs SET state = 'RUNNING' WHERE run_id IN (SELECT run_id FROM outbox ORDER BY random() LIMIT 50)"
    )
    change(app, "DELETE FROM outbox WHERE run_id IN (SELECT run_id FROM jobs WHERE state = 'RUNNING')")
    change(app, "ANALYZE")


def test_of_ten_thousand_the_order_is_that_in_which_they_are_sent_and_one_is_found_quickly(
    app: Flask, client: Client, owner: Headers, ten_thousand: None
) -> None:
    with app.app_context(), db.engine.connect() as connection:
        columns = (Outbox.run_id, Outbox.queue, Outbox.team_id, Outbox.owner_id, Outbox.priority, Outbox.queued_at)
        waits = [Waiting(*row) for row in connection.execute(select(*columns)).all()]
        past = at_work.history(connection, [*connection.execute(at_work.AT_WORK)], {one.owner_id for one in waits})
        by_turns = in_order(waits, past, connection.execute(select(func.now())).scalar_one())
        found = places.of(connection.execute(select(Job.run_id, Job.state, Job.queue)).all())
    assert len(found) == len(waits) > 9_000
    assert sorted(found, key=lambda run_id: found[run_id].position)[:200] == [one.id for one in by_turns[:200]]
    (run_id,) = submit(client, owner, 1)
    began = time.perf_counter()
    assert client.get(f"{URL}/{run_id}", headers=owner).json["queue_position"] > 0
    assert time.perf_counter() - began < 2
