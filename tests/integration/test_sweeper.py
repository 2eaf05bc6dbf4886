"""What is stuck is the sweeper's: silent nodes, lost messages, outcomes without their last facts, deleted jobs."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from flask import Flask

from coordinator import broker, pulses
from coordinator.dispatching import resending
from coordinator.errors import Unavailable
from coordinator.extensions import db
from coordinator.ledger import Told
from coordinator.parts import parts
from coordinator.pipeline.batch import record_facts
from coordinator.pipeline.receiver import deliver
from coordinator.recorder import facts_in
from coordinator.retries import LOST_IN_A_ROW
from coordinator.sweeper import Sweeper
from services.ports import free_ports
from tests.conftest import running
from tests.integration.database import change, job, outbox, rows, until_somebody_waits_for_a_lock
from tests.jobs import URL, Client, metric
from tests.played_node import MODEL, PlayedNode, event
from wire.names import TASK_FINISH, TASK_TRAIN

Headers = dict[str, str]
SENT = "SELECT task, sent_at IS NOT NULL FROM outbox ORDER BY task"


@pytest.fixture
def celery(vhost: str) -> Iterator[Celery]:
    """Over an empty broker in which the queues are declared."""
    made = broker.make_celery(vhost, "test")
    with broker.ConfirmedSender(made):
        pass
    yield made
    made.close()


def sweeper(app: Flask, celery: Any = None) -> Sweeper:
    return Sweeper(app, celery, parts(app).storage, lease_seconds=25, every_seconds=1)


def sweep(app: Flask, *names: str, celery: Any = None) -> None:
    for name in names:
        with app.app_context():
            getattr(sweeper(app, celery), name)()


def the_web_is_there_for(app: Flask, time: str, service: str = "web") -> None:
    with app.app_context():
        pulses.beat(service)
    change(app, "UPDATE pulses SET alive_since = now() - CAST(:time AS interval) WHERE service = :service", time=time,
           service=service)  # fmt: skip


def the_recorder_is_there_for(app: Flask, time: str) -> None:
    the_web_is_there_for(app, time, "recorder")


def its_lease_is_over(app: Flask) -> None:
    change(app, "UPDATE attempts SET lease_until = now() - interval '1 second'")


@pytest.fixture
def silent(app: Flask, run_id: str, played: PlayedNode) -> str:
    """A claimed run whose node has not been heard for longer than its lease."""
    played.claim(run_id)
    its_lease_is_over(app)
    return run_id


def test_a_silent_attempt_is_followed_by_the_next(app: Flask, silent: str, told: list[Told]) -> None:
    the_web_is_there_for(app, "1 hour")
    sweep(app, "end_silent_attempts")
    assert (job(app, silent)[:2], outbox(app)) == (("SUBMITTED", 2), [(TASK_TRAIN, 2)])
    assert rows(app, "SELECT cause FROM attempts") == ["Its node node was silent for 25 s."]
    assert told[-1].seq == 3


def test_a_silent_node_is_told_that_its_attempt_is_not_its_own_any_more(
    app: Flask, silent: str, played: PlayedNode
) -> None:
    the_web_is_there_for(app, "1 hour")
    sweep(app, "end_silent_attempts")
    assert played.heartbeat(silent).json == {"answer": "not yours"}


@pytest.mark.parametrize("since", [None, "0 seconds", "24 seconds"])
def test_no_lease_ends_while_heartbeats_could_not_have_come_in(app: Flask, silent: str, since: str | None) -> None:
    if since is not None:
        the_web_is_there_for(app, since)
    sweep(app, "end_silent_attempts")
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_a_web_that_was_away_counts_as_there_since_it_is_back(app: Flask, silent: str) -> None:
    the_web_is_there_for(app, "1 hour")
    change(app, "UPDATE pulses SET last_seen_at = now() - interval '1 minute'")
    sweep(app, "end_silent_attempts")
    with app.app_context():
        pulses.beat("web")
    sweep(app, "end_silent_attempts")
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_an_attempt_that_is_heard_of_is_left_alone(app: Flask, silent: str, played: PlayedNode) -> None:
    the_web_is_there_for(app, "1 hour")
    played.heartbeat(silent)
    sweep(app, "end_silent_attempts")
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_an_attempt_that_is_heard_of_at_the_last_moment_is_left_alone(
    app: Flask, silent: str, played: PlayedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the leases and the ending of an attempt its heartbeat may come in."""
    the_web_is_there_for(app, "1 hour")

    def heartbeat_first(report: Any) -> None:
        assert played.heartbeat(silent).json == {"answer": "go on"}
        deliver(report)

    monkeypatch.setattr("coordinator.sweeper.deliver", heartbeat_first)
    sweep(app, "end_silent_attempts")
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_an_attempt_whose_outcome_is_known_is_not_silent(app: Flask, silent: str, played: PlayedNode) -> None:
    played.hand_in(silent, status="failed", facts_sent=3)
    the_web_is_there_for(app, "1 hour")
    sweep(app, "end_silent_attempts")
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_an_attempt_whose_outcome_may_wait_for_the_results_worker_is_left_alone(app: Flask, silent: str) -> None:
    the_web_is_there_for(app, "1 hour")
    with app.app_context():
        Sweeper(app, None, parts(app).storage, 25, 1, outcomes_are_in=lambda: False).end_silent_attempts()  # type: ignore[arg-type]
    assert job(app, silent)[:2] == ("RETRIEVED", 1)


def test_a_silent_attempt_of_a_cancelled_run_ends_it(app: Flask, client: Client, owner: Headers, silent: str) -> None:
    client.post(f"{URL}/{silent}/cancel", headers=owner)
    the_web_is_there_for(app, "1 hour")
    sweep(app, "end_silent_attempts")
    assert (job(app, silent), outbox(app)) == (("CANCELLED", 1, "It was cancelled."), [])


def test_a_run_that_is_lost_again_and_again_without_a_checkpoint_fails(
    app: Flask, run_id: str, played: PlayedNode
) -> None:
    the_web_is_there_for(app, "1 hour")
    for attempt in range(1, LOST_IN_A_ROW + 1):
        assert job(app, run_id)[0] == "SUBMITTED"
        played.claim(run_id, attempt)
        its_lease_is_over(app)
        sweep(app, "end_silent_attempts")
    assert job(app, run_id) == (
        "FAILED", 10, "It was started 10 times and lost 10 times in a row without a new checkpoint; the last time: "
        "Its node node was silent for 25 s.",
    )  # fmt: skip
    assert outbox(app) == []


def test_what_the_broker_has_lost_is_sent_again(app: Flask, run_id: str, celery: Celery) -> None:
    change(app, "UPDATE outbox SET sent_at = now() - interval '1 hour'")
    sweep(app, "resend", celery=celery)
    assert rows(app, SENT) == [(TASK_TRAIN, False)]


def test_what_was_sent_a_moment_ago_is_not_sent_again(app: Flask, run_id: str, celery: Celery) -> None:
    change(app, "UPDATE outbox SET sent_at = now()")
    sweep(app, "resend", celery=celery)
    assert rows(app, SENT) == [(TASK_TRAIN, True)]


def test_a_training_that_rightly_waits_in_the_queue_is_not_sent_again(app: Flask, run_id: str, celery: Celery) -> None:
    with broker.ConfirmedSender(celery) as sender:
        broker.send_training(celery, sender.producer, rows(app, "SELECT run_id FROM jobs")[0], 1, 5)
        sender.sent()
        sender.wait()
    change(app, "UPDATE outbox SET sent_at = now() - interval '1 hour'")
    sweep(app, "resend", celery=celery)
    assert rows(app, SENT) == [(TASK_TRAIN, True)]


def test_an_ending_is_sent_again_even_while_trainings_wait(
    app: Flask, run_id: str, other_run_id: str, played: PlayedNode, celery: Celery
) -> None:
    played.claim(run_id)
    played.hand_in(run_id, status="failed")
    with broker.ConfirmedSender(celery) as sender:
        broker.send_training(celery, sender.producer, rows(app, "SELECT run_id FROM jobs")[0], 1, 5)
        sender.sent()
        sender.wait()
    change(app, "UPDATE outbox SET sent_at = now() - interval '1 hour'")
    sweep(app, "resend", celery=celery)
    with app.app_context():
        resending.undone()
    assert rows(app, SENT) == [(TASK_FINISH, False), (TASK_TRAIN, True)]


@pytest.fixture
def without_its_last_facts(app: Flask, run_id: str, played: PlayedNode) -> str:
    played.claim(run_id)
    played.say(run_id, metric(1_000))
    played.hand_in(run_id, status="failed", facts_sent=5, error="It broke.")
    change(app, "UPDATE attempts SET outcome_at = now() - interval '10 minutes'")
    the_recorder_is_there_for(app, "1 hour")
    return run_id


def test_an_outcome_does_not_wait_for_ever_for_facts_that_will_not_come(
    app: Flask, without_its_last_facts: str, played: PlayedNode
) -> None:
    sweep(app, "finish_without_late_facts")
    assert outbox(app) == [(TASK_FINISH, 1)]
    played.finish(without_its_last_facts)
    assert job(app, without_its_last_facts) == ("FAILED", 1, "It broke.")


def test_an_outcome_waits_for_its_facts_for_a_while(app: Flask, without_its_last_facts: str) -> None:
    change(app, "UPDATE attempts SET outcome_at = now() - interval '1 minute'")
    sweep(app, "finish_without_late_facts")
    assert outbox(app) == []


@pytest.mark.parametrize("since", [None, "4 minutes"])
def test_no_outcome_goes_without_its_facts_while_facts_could_not_have_come_in(
    app: Flask, without_its_last_facts: str, since: str | None
) -> None:
    """They wait in the queue, for a recorder that was away."""
    if since is None:
        change(app, "UPDATE pulses SET last_seen_at = now() - interval '1 minute'")
    else:
        the_recorder_is_there_for(app, since)
    sweep(app, "finish_without_late_facts")
    assert outbox(app) == []


def test_facts_that_come_at_the_last_moment_ask_for_no_second_ending(app: Flask, without_its_last_facts: str) -> None:
    """The recorder has the job when the sweeper has just seen that facts are missing."""
    sweeping = threading.Thread(target=sweep, args=(app, "finish_without_late_facts"))
    facts = [metric(n) for n in range(1, 11)]
    with app.app_context():
        record_facts(facts_in(event(without_its_last_facts, *facts)))
        sweeping.start()
        until_somebody_waits_for_a_lock(app)
        db.session.commit()
    sweeping.join(10)
    assert outbox(app) == [(TASK_FINISH, 1)]


def test_an_ending_that_waits_for_s3_is_asked_for_once(app: Flask, without_its_last_facts: str) -> None:
    for _ in range(3):
        sweep(app, "finish_without_late_facts")
    assert outbox(app) == [(TASK_FINISH, 1)]


@pytest.fixture
def deleted(app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode) -> str:
    played.train(run_id)
    assert client.delete(f"{URL}/{run_id}", headers=owner).status_code == 200
    return run_id


def test_a_deleted_run_leaves_neither_rows_nor_files(app: Flask, deleted: str) -> None:
    keys = rows(app, "SELECT key FROM artifacts")
    sweep(app, "purge_deleted", "delete_dropped")
    for table in ("jobs", "attempts", "events", "metrics", "artifacts", "outbox"):
        assert rows(app, f"SELECT count(*) FROM {table}") == [0]  # noqa: S608
    for key in keys:
        with pytest.raises(Unavailable, match="NoSuchKey"):
            parts(app).storage.read(key)


def test_a_deleted_run_that_still_runs_is_kept_until_it_has_ended(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    client.delete(f"{URL}/{run_id}", headers=owner)
    sweep(app, "purge_deleted")
    assert rows(app, "SELECT count(*) FROM jobs") == [1]
    played.hand_in(run_id, played.upload(run_id, "model", MODEL), status="stopped")
    played.finish(run_id)
    sweep(app, "purge_deleted")
    assert rows(app, "SELECT count(*) FROM jobs") == [0]


def test_other_runs_are_not_purged(app: Flask, other_run_id: str, deleted: str) -> None:
    sweep(app, "purge_deleted")
    assert [str(it) for it in rows(app, "SELECT run_id FROM jobs")] == [other_run_id]


def test_while_s3_is_away_the_keys_of_the_files_are_kept(app: Flask, config: Any, deleted: str) -> None:
    sweep(app, "purge_deleted")
    with running(replace(config, s3_endpoint_url=f"http://127.0.0.1:{free_ports(1, set())[0]}")) as elsewhere:
        with pytest.raises(Unavailable):
            sweep(elsewhere, "delete_dropped")
        assert rows(app, "SELECT count(*) FROM dropped_objects") == [2]
