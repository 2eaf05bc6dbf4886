"""What a job may say of how it is trained: hyperparameters, environments, checkpoints, another job to begin with."""

from typing import Any
from uuid import uuid4

import pytest
import requests

from tests.jobs import URL, Client, body
from tests.played_node import CHECKPOINT, PlayedNode

Headers = dict[str, str]


def submit(client: Client, headers: Headers, **changes: Any) -> Any:
    return client.post(URL, json=body(**changes), headers=headers)


@pytest.fixture
def trained(client: Client, owner: Headers, played: PlayedNode) -> str:
    run_id = str(submit(client, owner).json["run_id"])
    played.train(run_id)
    return run_id


def test_what_a_job_asks_for_is_shown_and_reaches_its_node(client: Client, owner: Headers, played: PlayedNode) -> None:
    asked = {"hyperparameters": {"learning_rate": 0.001}, "num_envs": 2, "checkpoint_interval": 5_000}
    job = submit(client, owner, **asked).json
    spec = played.claim(job["run_id"]).json["spec"]
    assert {name: job[name] for name in asked} == asked == {name: spec[name] for name in asked}


def test_hyperparameters_are_checked_against_the_trainers_schema(shared_client: Client, owner: Headers) -> None:
    answer = submit(shared_client, owner, hyperparameters={"learnin_rate": 0.001})
    assert answer.status_code == 422
    assert answer.json["detail"] == ('hyperparameters: there is no option "learnin_rate". Did you mean learning_rate?')


def test_hyperparameters_are_checked_together_with_the_builds(shared_client: Client, owner: Headers) -> None:
    answer = submit(shared_client, owner, hyperparameters={"batch_size": 4096})
    assert answer.json["detail"] == "hyperparameters: batch_size 4096 may be at most buffer_size 1024."


def test_a_job_begins_with_the_weights_of_another(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    job = submit(client, owner, initialize_from=trained).json
    assert job["initialize_from"] == trained
    spec = played.claim(job["run_id"]).json["spec"]
    assert requests.get(spec["initialize_url"], timeout=10).content == CHECKPOINT
    assert (spec["start_step"], spec["max_steps"], spec["checkpoint_url"]) == (0, 50_000, None)


def test_a_run_without_a_checkpoint_is_nothing_to_begin_with(client: Client, owner: Headers) -> None:
    waiting = submit(client, owner).json["run_id"]
    answer = submit(client, owner, initialize_from=waiting)
    assert answer.status_code == 409
    assert answer.json["detail"] == (
        f"initialize_from: run {waiting} has no checkpoint to begin with; it is SUBMITTED."
    )


def test_nobody_begins_with_a_strangers_run(client: Client, stranger: Headers, trained: str) -> None:
    for run_id in (trained, str(uuid4())):
        answer = submit(client, stranger, initialize_from=run_id)
        assert (answer.status_code, answer.json["detail"]) == (404, f"There is no run {run_id} among your jobs.")
