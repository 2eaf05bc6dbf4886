"""A message that has left the broker for good is noticed and sent again, also while others wait in its queue."""

from typing import Any

import pytest
from celery import Celery
from flask import Flask

from coordinator import broker
from coordinator.dispatching import resending
from coordinator.dispatching.waiting import NOBODY_BEGAN
from tests.integration.database import change, rows
from tests.integration.test_relay import ids, messages, relaying, submit, until_all_is_sent
from tests.integration.test_waiting import why
from tests.jobs import Client
from tests.played_node import PlayedNode
from wire.names import TRAIN_QUEUE, task_id

pytestmark = pytest.mark.usefixtures("room")
Headers = dict[str, str]
UNSENT = "SELECT CAST(run_id AS text) FROM outbox WHERE sent_at IS NULL ORDER BY id"


def sent_one_by_one(app: Flask, client: Client, headers: Headers, url: str, count: int) -> list[str]:
    """Jobs whose messages went out one after the other."""
    runs = []
    with relaying(app, url):
        for _ in range(count):
            runs += submit(client, headers, 1)
            until_all_is_sent(app)
    return runs


def time_passes(app: Flask, seconds: int = 60) -> None:
    gone = {"seconds": seconds}
    change(app, "UPDATE outbox SET created_at = created_at - make_interval(secs => :seconds), "
                "sent_at = sent_at - make_interval(secs => :seconds)", **gone)  # fmt: skip
    change(app, "UPDATE attempts SET task_sent_at = task_sent_at - make_interval(secs => :seconds), "
                "claimed_at = claimed_at - make_interval(secs => :seconds)", **gone)  # fmt: skip


def sweep(app: Flask) -> list[Any]:
    """The runs that are to be sent again."""
    with app.app_context():
        resending.overtaken()
    return rows(app, UNSENT)


def test_a_training_that_a_later_one_has_overtaken_is_sent_again(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str
) -> None:
    """A node was killed between taking the first message and its claim; the third still waits."""
    first, second, third = sent_one_by_one(app, client, owner, vhost, 3)
    taken = messages(vhost, TRAIN_QUEUE)
    assert ids(taken) == [task_id(run_id, 1) for run_id in (first, second, third)]
    assert played.claim(second).status_code == 200
    time_passes(app)
    assert sweep(app) == [first]
    with relaying(app, vhost):
        until_all_is_sent(app)
    assert ids(messages(vhost, TRAIN_QUEUE)) == [task_id(first, 1)]


def test_one_that_was_sent_with_the_claimed_one_may_still_wait(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str
) -> None:
    runs = submit(client, owner, 3)
    with relaying(app, vhost):
        until_all_is_sent(app)
    played.claim(runs[1])
    time_passes(app)
    assert sweep(app) == []


def test_one_that_may_be_on_its_way_is_not_sent_again(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str
) -> None:
    """Two nodes have taken a message each; the one of the later message was faster."""
    _, second = sent_one_by_one(app, client, owner, vhost, 2)
    time_passes(app)
    played.claim(second)
    assert sweep(app) == []


@pytest.mark.parametrize("other", ["queue = 'train.other'", "priority = 9"])
def test_trainings_of_other_queues_and_priorities_overtake_rightly(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str, other: str
) -> None:
    _, second = sent_one_by_one(app, client, owner, vhost, 2)
    played.claim(second)
    change(app, f"UPDATE jobs SET {other} WHERE run_id = :run_id", run_id=second)  # noqa: S608
    time_passes(app)
    assert sweep(app) == []


def test_what_was_sent_again_is_not_sent_again_for_the_same_reason(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str
) -> None:
    first, second = sent_one_by_one(app, client, owner, vhost, 2)
    played.claim(second)
    time_passes(app)
    assert sweep(app) == [first]
    with relaying(app, vhost):
        until_all_is_sent(app)
    time_passes(app, 20)
    assert sweep(app) == []


def test_all_that_an_emptied_broker_has_lost_is_sent_again(
    app: Flask, client: Client, owner: Headers, vhost: str
) -> None:
    runs = sent_one_by_one(app, client, owner, vhost, 3)
    assert len(messages(vhost, TRAIN_QUEUE)) == 3
    time_passes(app)
    celery: Celery = broker.make_celery(vhost, "test")
    with app.app_context():
        resending.lost(celery)
    celery.close()
    assert rows(app, UNSENT) == runs


def test_a_job_that_is_taken_again_and_again_and_never_begun_says_so_and_the_log_names_the_queue(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or hostile node swallows it. Once may be anything."""
    caplog.set_level("INFO", resending.__name__)
    (run_id,) = sent_one_by_one(app, client, owner, vhost, 1)
    celery: Celery = broker.make_celery(vhost, "test")
    for times in (1, 2, 3):
        assert why(app, run_id) == (NOBODY_BEGAN.format(times) if times > 1 else None)
        assert len(messages(vhost, TRAIN_QUEUE)) == 1
        time_passes(app)
        with app.app_context():
            resending.lost(celery)
        told = [(it.levelname, it.getMessage()) for it in caplog.records if it.name == resending.__name__]
        assert told[-1] == ("WARNING" if times > 1 else "INFO", resending.SENT_AGAIN % (1, TRAIN_QUEUE, times))
        with relaying(app, vhost):
            until_all_is_sent(app)
    celery.close()
    assert played.claim(run_id).status_code == 200
    assert why(app, run_id) is None
