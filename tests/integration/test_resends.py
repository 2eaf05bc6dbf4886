"""Files that came damaged or not at all, as the coordinator sees it: asked for again, given up in time, taken later."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from coordinator import resends
from coordinator.alone import alone
from coordinator.parts import parts
from coordinator.pipeline.archive import Archive
from coordinator.pipeline.reports import AttemptComplete
from tests.conftest import Template
from tests.integration.database import change, job, outbox, rows
from tests.jobs import Client, bearer
from tests.played_node import CHECKPOINT, MODEL, PlayedNode
from wire.facts import Artifact
from wire.names import TASK_FINISH

DAMAGED = b"another model" * 1_000
KEPT = " Its files are kept on node node."


@pytest.fixture
def claimed(run_id: str, played: PlayedNode) -> str:
    played.claim(run_id)
    return run_id


@pytest.fixture
def ask(claimed: str, played: PlayedNode) -> Callable[[], Any]:
    """What becomes of the files, as the node hears it."""
    return lambda: played.post(f"/attempts/{claimed}/1/handed-in", {}).json


def hand_in_damaged(played: PlayedNode, run_id: str, **said: Any) -> Artifact:
    """The model as it is, of which something else has been uploaded."""
    model = played.upload(run_id, "model", MODEL)
    played.upload(run_id, "model", DAMAGED)
    played.hand_in(run_id, model, kept=True, steps=50_000, **said)
    played.finish(run_id)
    return model


def again(played: PlayedNode, run_id: str) -> int:
    return int(played.post(f"/attempts/{run_id}/1/again", {}).status_code)


def test_a_damaged_model_is_asked_for_again_and_then_taken(
    app: Flask, claimed: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    hand_in_damaged(played, claimed)
    assert (job(app, claimed)[0], outbox(app)) == ("RETRIEVED", [])
    assert ask() == {"answer": "resend", "names": ["model.onnx"]}
    played.upload(claimed, "model", MODEL)
    assert again(played, claimed) == 200
    assert (ask()["answer"], outbox(app)) == ("wait", [(TASK_FINISH, 1)])
    played.finish(claimed)
    assert (job(app, claimed)[0], ask()["answer"], outbox(app)) == ("SUCCEEDED", "stored", [])


def test_that_it_was_sent_again_may_be_said_twice(app: Flask, claimed: str, played: PlayedNode) -> None:
    hand_in_damaged(played, claimed)
    played.upload(claimed, "model", MODEL)
    assert [again(played, claimed), again(played, claimed)] == [200, 200]
    assert outbox(app) == [(TASK_FINISH, 1)]


def test_an_ending_that_comes_again_while_the_node_is_asked_changes_nothing(
    app: Flask, claimed: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    hand_in_damaged(played, claimed)
    played.finish(claimed)
    assert (job(app, claimed)[0], ask()["answer"]) == ("RETRIEVED", "resend")
    assert rows(app, "SELECT resends FROM attempts") == [1]


def test_what_comes_damaged_again_and_again_is_given_up_for_that_reason(
    app: Flask, claimed: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    hand_in_damaged(played, claimed)
    for _ in range(resends.RESENDS):
        assert ask()["answer"] == "resend"
        played.upload(claimed, "model", DAMAGED)
        again(played, claimed)
        played.finish(claimed)
    state, attempt, error = job(app, claimed)
    assert (state, attempt) == ("FAILED", 1)
    assert error.startswith("The model could not be stored. The upload's SHA-256 is ")
    assert error.endswith(KEPT)
    assert rows(app, "SELECT kind FROM attempts") == ["storage"]
    assert ask()["answer"] == "keep"


def test_a_node_that_does_not_come_is_given_up_and_the_job_ends(
    app: Flask, claimed: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    hand_in_damaged(played, claimed)
    with app.app_context():
        resends.give_up()
    assert outbox(app) == []
    change(app, "UPDATE attempts SET resend_at = now() - interval '11 minutes'")
    with app.app_context():
        resends.give_up()
    assert outbox(app) == [(TASK_FINISH, 1)]
    played.finish(claimed)
    assert (job(app, claimed)[0], ask()["answer"]) == ("FAILED", "keep")


@pytest.fixture
def given_up(app: Flask, claimed: str, played: PlayedNode) -> str:
    """A job that FAILED because its node could not store anything."""
    files = [Artifact("model", "ab" * 32, 10), Artifact("checkpoint", "cd" * 32, 10)]
    played.hand_in(claimed, *files, status="failed", cause="storage", achieved="succeeded", steps=50_000, error="Away.")
    played.finish(claimed)
    assert job(app, claimed) == ("FAILED", 1, "Away.")
    return claimed


def store(app: Flask, played: PlayedNode, run_id: str) -> None:
    """As `node resend` does it, with the files that the outcome has described."""
    said = [played.upload(run_id, "model", MODEL), played.upload(run_id, "checkpoint", CHECKPOINT)]
    for place, its in enumerate(said):
        change(app, f"UPDATE attempts SET outcome = jsonb_set(jsonb_set(outcome, '{{artifacts,{place},sha256}}',"  # noqa: S608
                    f" to_jsonb(CAST(:sha256 AS text))), '{{artifacts,{place},size}}', to_jsonb(CAST(:size AS int)))",
               sha256=its.sha256, size=its.size)  # fmt: skip
    assert again(played, run_id) == 200
    played.finish(run_id)


def test_a_job_that_failed_for_want_of_storage_succeeds_when_its_files_come(
    app: Flask, given_up: str, played: PlayedNode, ask: Callable[[], Any], client: Client, owner: dict[str, str]
) -> None:
    assert ask()["answer"] == "keep"
    store(app, played, given_up)
    assert job(app, given_up) == ("SUCCEEDED", 1, None)
    assert rows(app, "SELECT steps_trained FROM jobs") == [50_000]
    assert rows(app, "SELECT kind FROM attempts") == ["succeeded"]
    assert client.get(f"/api/v1/train-jobs/{given_up}/nn-model", headers=owner).data == MODEL
    assert ask()["answer"] == "stored"
    assert rows(app, "SELECT seq FROM events ORDER BY seq") == [1, 2, 3, 4]


def test_when_they_do_not_come_it_stays_failed(
    app: Flask, given_up: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    assert again(played, given_up) == 200
    played.finish(given_up)
    assert ask() == {"answer": "resend", "names": ["model.onnx", "checkpoint.pt"]}
    change(app, "UPDATE attempts SET resend_at = now() - interval '11 minutes'")
    with app.app_context():
        resends.give_up()
    played.finish(given_up)
    assert (job(app, given_up)[0], ask()["answer"]) == ("FAILED", "keep")
    assert rows(app, "SELECT count(*) FROM artifacts") == [0]


def test_another_node_gets_no_answer_and_no_link(app: Flask, given_up: str, template: Template) -> None:
    stranger = PlayedNode(app, bearer(template.other_node))
    for call, body in (("handed-in", {}), ("again", {}), ("uploads", {"name": "model.onnx"})):
        assert stranger.post(f"/attempts/{given_up}/1/{call}", body).status_code == 409


def test_a_job_that_failed_for_another_reason_takes_no_files(claimed: str, played: PlayedNode) -> None:
    played.hand_in(claimed, status="failed", cause="user", error="Its reward is not finite.")
    played.finish(claimed)
    assert again(played, claimed) == 409
    assert played.post(f"/attempts/{claimed}/1/uploads", {"name": "model.onnx"}).status_code == 409


def test_of_a_run_that_is_gone_nothing_is_known(app: Flask, claimed: str, ask: Callable[[], Any]) -> None:
    change(app, "DELETE FROM jobs")
    assert ask() == {"answer": "unknown", "names": []}


def test_of_two_copies_of_an_ending_one_verifies_and_the_other_ends_nothing(
    app: Flask, claimed: str, played: PlayedNode
) -> None:
    played.hand_in(claimed, played.upload(claimed, "model", MODEL), kept=True)
    report = AttemptComplete(UUID(claimed), 1)
    with app.app_context(), alone(f"keep {claimed}.1") as is_alone:
        assert is_alone
        Archive(parts(app).storage, parts(app).config).keep(report)
    assert report.settled is None
    played.finish(claimed)
    assert (job(app, claimed)[0], outbox(app)) == ("SUCCEEDED", [])


def test_a_cancelled_training_ends_at_once_and_its_damaged_model_can_be_sent_later(
    app: Flask, claimed: str, played: PlayedNode, ask: Callable[[], Any]
) -> None:
    change(app, "UPDATE jobs SET cancel_requested_at = now()")
    hand_in_damaged(played, claimed, status="stopped")
    assert (job(app, claimed)[0], ask()["answer"]) == ("CANCELLED", "keep")
    played.upload(claimed, "model", MODEL)
    assert again(played, claimed) == 200
    played.finish(claimed)
    assert (job(app, claimed)[0], ask()["answer"]) == ("CANCELLED", "stored")
    assert rows(app, "SELECT kind FROM artifacts") == ["model"]
