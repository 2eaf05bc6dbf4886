"""A body with the `run_id` of a job that succeeded trains that run further, from its last checkpoint."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.jobs import URL, Client, body
from tests.played_node import CHECKPOINT, PlayedNode

Headers = dict[str, str]


@pytest.fixture
def run_id(client: Client, owner: Headers) -> str:
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def trained(run_id: str, played: PlayedNode) -> str:
    played.train(run_id)
    return run_id


def resume(client: Client, headers: Headers, run_id: str, **changes: Any) -> Any:
    return client.post(URL, json=body(run_id=run_id, **changes), headers=headers)


def test_a_resumed_run_keeps_its_id_and_waits_for_a_node(client: Client, owner: Headers, trained: str) -> None:
    answer = resume(client, owner, trained, nn_model_config__steps=20_000)
    assert answer.status_code == 200
    job = answer.json
    assert (job["run_id"], job["job_type"], job["job_status"]) == (trained, "RESUME", "SUBMITTED")
    assert (job["nn_model_config"]["steps"], job["attempt"]) == (20_000, 2)
    assert len(client.get(URL, headers=owner).json) == 1


def test_a_resumed_run_trains_so_many_steps_more_from_its_checkpoint(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    resume(client, owner, trained, nn_model_config__steps=20_000)
    spec = played.claim(trained, 2).json["spec"]
    assert spec["max_steps"] == 70_000
    assert spec["checkpoint_url"]
    assert requests.get(spec["checkpoint_url"], timeout=10).content == CHECKPOINT


def test_a_run_is_resumed_again_and_again(client: Client, owner: Headers, trained: str, played: PlayedNode) -> None:
    for attempt, total in ((2, 100_000), (3, 150_000)):
        resume(client, owner, trained)
        assert played.claim(trained, attempt).json["spec"]["max_steps"] == total
        played.hand_in(trained, played.upload(trained, "model", b"more", attempt), attempt=attempt, steps=total)
        played.finish(trained, attempt)
    shown = client.get(f"{URL}/{trained}", headers=owner).json
    assert (shown["job_status"], shown["steps_trained"]) == ("SUCCEEDED", 150_000)


def test_what_a_game_sends_with_its_resume_is_what_it_reads(client: Client, owner: Headers, trained: str) -> None:
    job = resume(client, owner, trained, env_config__agent_id="2", env_config__num_of_areas=4, agent_config="new").json
    assert (job["env_config"]["agent_id"], job["env_config"]["num_of_areas"], job["agent_config"]) == ("2", 4, "new")


def test_a_run_that_waits_or_runs_is_answered_as_it_is(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    assert resume(client, owner, run_id).json["job_status"] == "SUBMITTED"
    played.claim(run_id)
    answer = resume(client, owner, run_id, nn_model_config__steps=1_000)
    assert (answer.status_code, answer.json["job_status"]) == (200, "RETRIEVED")
    assert answer.json["nn_model_config"]["steps"] == 50_000
    assert answer.json["attempt"] == 1


def test_a_resume_sent_twice_resumes_once(client: Client, owner: Headers, trained: str) -> None:
    assert [resume(client, owner, trained).json["attempt"] for _ in range(2)] == [2, 2]


@pytest.mark.parametrize("end", ["failed", "was cancelled"])
def test_a_run_without_a_model_cannot_be_resumed(
    client: Client, owner: Headers, run_id: str, played: PlayedNode, end: str
) -> None:
    if end == "was cancelled":
        client.post(f"{URL}/{run_id}/cancel", headers=owner)
    else:
        played.claim(run_id)
        played.hand_in(run_id, status="failed", error="It broke.")
        played.finish(run_id)
    answer = resume(client, owner, run_id)
    assert answer.status_code == 409
    assert answer.json["detail"] == (
        f"Run {run_id} {end}: there is nothing to go on from. Submit a new job without a run_id."
    )


def test_an_unknown_run_cannot_be_resumed(client: Client, owner: Headers) -> None:
    unknown = str(uuid4())
    answer = resume(client, owner, unknown)
    assert answer.status_code == 404
    assert answer.json["detail"] == f"There is no run {unknown} among your jobs."


def test_a_resume_is_checked_like_any_job(client: Client, owner: Headers, trained: str) -> None:
    assert resume(client, owner, trained, nn_model_config__steps=10).status_code == 422


def test_a_cancel_that_came_too_late_does_not_cancel_the_next_training(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    client.post(f"{URL}/{run_id}/cancel", headers=owner)
    kept = (played.upload(run_id, "model", b"model"), played.upload(run_id, "checkpoint", CHECKPOINT))
    played.hand_in(run_id, *kept, steps=50_000)
    played.finish(run_id)
    assert client.get(f"{URL}/{run_id}", headers=owner).json["job_status"] == "SUCCEEDED"
    assert resume(client, owner, run_id).json["cancel_requested"] is False
    played.claim(run_id, 2)
    assert played.heartbeat(run_id, 2).json == {"answer": "go on"}


def test_retries_are_counted_anew_for_a_resumed_run(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    resume(client, owner, trained)
    for attempt in (2, 3, 4):
        assert client.get(f"{URL}/{trained}", headers=owner).json["job_status"] == "SUBMITTED"
        played.claim(trained, attempt)
        played.hand_in(trained, attempt=attempt, status="failed", cause="stalled", error="It stood still.")
        played.finish(trained, attempt)
    shown = client.get(f"{URL}/{trained}", headers=owner).json
    assert (shown["job_status"], shown["error"]) == (
        "FAILED", "It was started 3 times; the last time: It stood still.",
    )  # fmt: skip


def test_the_model_of_before_is_served_until_there_is_a_new_one(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    before = client.get(f"{URL}/{trained}/nn-model", headers=owner).data
    resume(client, owner, trained)
    assert client.get(f"{URL}/{trained}/nn-model", headers=owner).data == before
    played.train(trained, 2, model=b"the new one", steps=100_000)
    assert client.get(f"{URL}/{trained}/nn-model", headers=owner).data == b"the new one"


def test_a_run_goes_on_from_the_step_of_its_checkpoint(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    checkpoint = replace(played.upload(run_id, "checkpoint", CHECKPOINT), step=50_176)
    played.hand_in(run_id, played.upload(run_id, "model", b"model"), checkpoint, steps=50_176)
    played.finish(run_id)
    resume(client, owner, run_id, nn_model_config__steps=20_000)
    spec = played.claim(run_id, 2).json["spec"]
    assert (spec["start_step"], spec["max_steps"], spec["steps"]) == (50_176, 70_176, 20_000)


def test_a_run_without_a_checkpoint_cannot_be_resumed(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    played.hand_in(run_id, played.upload(run_id, "model", b"model"), steps=50_000)
    played.finish(run_id)
    answer = resume(client, owner, run_id)
    assert answer.status_code == 409
    assert "has left no checkpoint to go on from" in answer.json["detail"]


@pytest.mark.parametrize("changes", [{"hyperparameters": {"learning_rate": 0.1}}, {"initialize_from": str(uuid4())}])
def test_a_resumed_run_keeps_its_hyperparameters(
    client: Client, owner: Headers, trained: str, changes: dict[str, Any]
) -> None:
    answer = resume(client, owner, trained, **changes)
    assert (answer.status_code, client.get(f"{URL}/{trained}", headers=owner).json["state"]) == (409, "SUCCEEDED")
    assert answer.json["detail"] == (
        f"Run {trained} goes on with its own hyperparameters and checkpoint. To change them, submit a new job with "
        "initialize_from."
    )
