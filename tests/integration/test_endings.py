"""Outcomes to their end: files verified and kept for good, the job's state, and what a failure says of its cause."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import requests
from flask import Flask

from coordinator import broker, tasks
from coordinator.config import Config
from coordinator.errors import Unavailable
from coordinator.ledger import Told
from coordinator.parts import parts
from coordinator.pipeline import record
from coordinator.pipeline.archive import Archive
from coordinator.pipeline.reports import AttemptComplete
from services.platform import wait_until
from services.stack import Stack
from tests.conftest import running
from tests.gate import Gate
from tests.integration.database import job, outbox, rows
from tests.jobs import Client, metric
from tests.played_node import CHECKPOINT, MODEL, PlayedNode
from wire.facts import Artifact, Outcome
from wire.names import TASK_FINISH, TASK_LOST, TASK_OUTCOME, TASK_TRAIN, staging_key, task_id

Headers = dict[str, str]
NOT_THE_MODEL = "0" * 64


@pytest.fixture
def claimed(run_id: str, played: PlayedNode) -> str:
    played.claim(run_id)
    return run_id


def stored(app: Flask, key: str) -> bytes:
    return b"".join(parts(app).storage.read(key))


def test_a_success_is_told_after_its_model_is_in_place(
    app: Flask, claimed: str, played: PlayedNode, told: list[Told]
) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL), steps=50_000, mean_reward=0.9, log_tail="done")
    assert job(app, claimed)[0] == "RETRIEVED"
    told.clear()
    played.finish(claimed)
    assert [(one.final, json.loads(one.frame)["status"]) for one in told] == [(True, "SUCCEEDED")]
    ((key, size),) = rows(app, "SELECT key, size FROM artifacts")
    assert (stored(app, key), size) == (MODEL, len(MODEL))
    assert rows(app, "SELECT steps_trained, mean_reward, log_tail FROM jobs") == [(50_000, 0.9, "done")]
    assert outbox(app) == []


def test_facts_that_come_again_after_the_outcome_ask_for_no_second_ending(
    app: Flask, claimed: str, played: PlayedNode
) -> None:
    played.hand_in(claimed, status="failed", error="It broke.", facts_sent=2)
    assert outbox(app) == []
    for _ in range(3):
        played.say(claimed, metric(100), metric(200))
    assert outbox(app) == [(TASK_FINISH, 1)]


@pytest.mark.parametrize("size", [8 * 1024 * 1024 + 1, 20_000_000])
def test_a_big_model_is_kept_too(app: Flask, claimed: str, played: PlayedNode, size: int) -> None:
    """Clients of S3 like to send what is big in parts, and not every server can copy parts."""
    model = bytes(range(256)) * (size // 256 + 1)
    played.hand_in(claimed, played.upload(claimed, "model", model))
    played.finish(claimed)
    (key,) = rows(app, "SELECT key FROM artifacts")
    assert stored(app, key) == model


def test_nothing_stays_in_staging(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL), played.upload(claimed, "checkpoint", CHECKPOINT))
    played.finish(claimed)
    for name in ("model.onnx", "checkpoint.pt"):
        with pytest.raises(Unavailable, match="NoSuchKey"):
            stored(app, staging_key(claimed, 1, name))


def test_what_was_verified_cannot_be_overwritten_any_more(app: Flask, claimed: str, played: PlayedNode) -> None:
    link = played.post(f"/attempts/{claimed}/1/uploads", {"name": "model.onnx"}).json["url"]
    played.hand_in(claimed, played.upload(claimed, "model", MODEL))
    played.finish(claimed)
    assert requests.put(link, data=b"another model", timeout=10).status_code == 200
    (key,) = rows(app, "SELECT key FROM artifacts")
    played.finish(claimed)
    assert stored(app, key) == MODEL
    assert played.post(f"/attempts/{claimed}/1/uploads", {"name": "model.onnx"}).status_code == 409


def test_an_ending_that_comes_again_changes_nothing(
    app: Flask, claimed: str, played: PlayedNode, told: list[Told]
) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL))
    for _ in range(3):
        played.finish(claimed)
    assert [json.loads(one.frame)["status"] for one in told] == ["RETRIEVED", "SUCCEEDED"]


def test_an_ending_that_crashed_after_the_files_is_finished_by_the_next(
    app: Flask, claimed: str, played: PlayedNode
) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL), played.upload(claimed, "checkpoint", CHECKPOINT))
    with app.app_context():
        Archive(parts(app).storage, parts(app).config).keep(AttemptComplete(rows(app, "SELECT run_id FROM jobs")[0], 1))
    assert (job(app, claimed)[0], outbox(app)) == ("RETRIEVED", [(TASK_FINISH, 1)])
    played.finish(claimed)
    assert job(app, claimed)[0] == "SUCCEEDED"
    assert rows(app, "SELECT kind FROM artifacts ORDER BY kind") == ["checkpoint", "model"]


def wrong(artifact: Artifact, **changes: Any) -> Artifact:
    return replace(artifact, **changes)


@pytest.mark.parametrize(("changes", "cause"), [
    ({"size": 7}, f"The model could not be stored. The upload has {len(MODEL)} bytes; the node said 7."),
    ({"sha256": NOT_THE_MODEL}, f"; the node said {NOT_THE_MODEL}."),
], ids=["size", "sha256"])  # fmt: skip
def test_a_damaged_model_is_a_failure_with_its_cause(
    app: Flask, claimed: str, played: PlayedNode, changes: dict[str, Any], cause: str
) -> None:
    played.hand_in(claimed, wrong(played.upload(claimed, "model", MODEL), **changes))
    played.finish(claimed)
    state, _, error = job(app, claimed)
    assert state == "FAILED"
    assert error.startswith("The model could not be stored. The upload")
    assert error.endswith(cause)
    assert rows(app, "SELECT * FROM artifacts") == []


def test_a_model_that_was_never_uploaded_is_a_failure(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, Artifact("model", "ab" * 32, 10))
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "The model could not be stored. The node's upload is not in storage.")


def test_an_outcome_that_came_after_the_look_at_the_files_does_not_end_the_attempt(
    app: Flask, claimed: str, played: PlayedNode
) -> None:
    """Between the two steps of an ending the outcome may be another one: its model was looked at by nobody."""
    with app.app_context():
        report = AttemptComplete(UUID(claimed), 1)
        Archive(parts(app).storage, parts(app).config).keep(report)
    played.hand_in(claimed, Artifact("model", "ab" * 32, 10))
    with app.app_context():
        record.ending(3, report)
    assert (job(app, claimed)[0], outbox(app)) == ("RETRIEVED", [(TASK_FINISH, 1)])
    played.finish(claimed)
    assert job(app, claimed)[0] == "FAILED"


def test_a_success_without_a_model_is_none(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, played.upload(claimed, "checkpoint", CHECKPOINT))
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "The trainer ended without a model.")


def test_of_several_damaged_files_the_model_is_the_cause(app: Flask, claimed: str, played: PlayedNode) -> None:
    uploads = [played.upload(claimed, kind, MODEL) for kind in ("model", "checkpoint")]
    played.hand_in(claimed, *(wrong(one, size=7) for one in uploads))
    played.finish(claimed)
    assert job(app, claimed)[2].startswith("The model could not be stored.")


def test_a_damaged_checkpoint_alone_does_not_undo_a_success(app: Flask, claimed: str, played: PlayedNode) -> None:
    model = played.upload(claimed, "model", MODEL)
    played.hand_in(claimed, model, wrong(played.upload(claimed, "checkpoint", CHECKPOINT), size=7))
    played.finish(claimed)
    assert job(app, claimed)[0] == "SUCCEEDED"
    assert rows(app, "SELECT kind FROM artifacts") == ["model"]


def test_a_failure_keeps_its_cause_and_its_log(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, status="failed", error="The environment did not connect within 60 s.", log_tail="the log")
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "The environment did not connect within 60 s.")
    assert rows(app, "SELECT log_tail FROM jobs") == ["the log"]


def test_an_interrupted_attempt_is_followed_by_the_next_from_its_checkpoint(
    app: Flask, claimed: str, played: PlayedNode
) -> None:
    played.hand_in(claimed, played.upload(claimed, "checkpoint", CHECKPOINT), status="interrupted", error="Shut down.")
    played.finish(claimed)
    assert (job(app, claimed)[:2], outbox(app)) == (("SUBMITTED", 2), [(TASK_TRAIN, 2)])
    spec = played.claim(claimed, 2).json["spec"]
    assert requests.get(spec["checkpoint_url"], timeout=10).content == CHECKPOINT
    assert spec["max_steps"] == 50_000


def test_an_outcome_of_an_attempt_that_is_over_changes_nothing(
    app: Flask, claimed: str, played: PlayedNode, told: list[Told]
) -> None:
    model = played.upload(claimed, "model", MODEL)
    played.lose(claimed)
    told.clear()
    played.hand_in(claimed, model)
    played.finish(claimed)
    assert (told, job(app, claimed), rows(app, "SELECT * FROM artifacts")) == ([], ("SUBMITTED", 2, None), [])


def test_a_lost_worker_whose_outcome_is_known_is_not_lost(app: Flask, claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, status="failed", error="It broke.")
    played.lose(claimed)
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "It broke.")


@pytest.fixture
def gate(stack: Stack) -> Iterator[Gate]:
    made = Gate(stack.ports["S3_PORT"])
    yield made
    made.shut()


def test_while_s3_is_away_an_ending_waits_and_is_not_forgotten(
    app: Flask, client: Client, owner: Headers, config: Config, gate: Gate, claimed: str, played: PlayedNode
) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL))
    with running(replace(config, s3_endpoint_url=gate.url(config.s3_endpoint_url))) as elsewhere, \
            elsewhere.app_context():  # fmt: skip
        complete, storage = AttemptComplete(rows(app, "SELECT run_id FROM jobs")[0], 1), parts(elsewhere).storage
        gate.shut()
        with pytest.raises(Unavailable):
            Archive(storage, config).keep(complete)
        assert (job(app, claimed)[0], outbox(app)) == ("RETRIEVED", [(TASK_FINISH, 1)])
        gate.open()
        Archive(storage, config).keep(complete)
    played.finish(claimed)
    assert (job(app, claimed)[0], outbox(app)) == ("SUCCEEDED", [])


class TestTasks:
    """The same by the tasks of the `results` worker, as Celery calls them."""

    @pytest.fixture
    def call(self, app: Flask, pipeline: None) -> Any:
        celery = broker.make_celery("memory://", "test")
        tasks.register(celery, app)
        return lambda name, *args, **kwargs: celery.tasks[name](*args, **kwargs)

    def test_an_outcome_comes_as_the_training_tasks_result(self, app: Flask, claimed: str, call: Any) -> None:
        run_id = rows(app, "SELECT run_id FROM jobs")[0]
        call(TASK_OUTCOME, Outcome(run_id, 1, "failed", 0, "It broke.").to_wire())
        call(TASK_FINISH, run_id=claimed, attempt=1)
        assert job(app, claimed) == ("FAILED", 1, "It broke.")

    def test_a_dropped_task_has_no_outcome(self, app: Flask, claimed: str, call: Any) -> None:
        call(TASK_OUTCOME, None)
        assert rows(app, "SELECT * FROM rejected_messages") == []

    @pytest.mark.parametrize("message", [3, "x", [], {}, {"status": "succeeded"}], ids=str)
    def test_a_result_that_is_no_outcome_is_set_aside(self, app: Flask, call: Any, message: Any) -> None:
        call(TASK_OUTCOME, message)
        assert rows(app, "SELECT source FROM rejected_messages") == ["outcome"]

    def test_an_outcome_of_an_unknown_run_is_set_aside(self, app: Flask, claimed: str, call: Any) -> None:
        run_id = rows(app, "SELECT run_id FROM jobs")[0]
        call(TASK_OUTCOME, Outcome(run_id, 9, "failed", 0).to_wire())
        assert rows(app, "SELECT reason FROM rejected_messages") == [f"There is no attempt 9 of run {claimed}."]

    def test_a_worker_that_died_is_followed_by_the_next_attempt(self, app: Flask, claimed: str, call: Any) -> None:
        for _ in range(2):
            call(TASK_LOST, task_id(claimed, 1), claimed, 1)
        assert (job(app, claimed)[:2], outbox(app)) == (("SUBMITTED", 2), [(TASK_TRAIN, 2)])
        assert rows(app, "SELECT cause FROM attempts") == ["Its worker process died on node node."]

    def test_a_strangers_task_that_died_is_set_aside(self, app: Flask, call: Any) -> None:
        call(TASK_LOST, "nonsense", "nonsense", 1)
        assert rows(app, "SELECT source FROM rejected_messages") == ["lost"]


def test_an_outcome_waits_for_postgresql(
    stack: Stack, app: Flask, config: Config, claimed: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate, celery = Gate(stack.ports["POSTGRES_PORT"]), broker.make_celery("memory://", "test")
    with running(replace(config, database_url=gate.url(config.database_url))) as cut_off:
        tasks.register(celery, cut_off)
        gate.shut()
        said = {"run_id": claimed, "attempt": 1, "status": "failed", "facts_sent": 3}
        outcome = threading.Thread(target=celery.tasks[TASK_OUTCOME], args=(said,))
        outcome.start()
        wait_until(lambda: "PostgreSQL is away; an outcome waits" in caplog.text, 20, "the task to notice")
        gate.open()
        outcome.join(20)
        gate.shut()
    assert rows(app, "SELECT outcome->>'status' FROM attempts") == ["failed"]
