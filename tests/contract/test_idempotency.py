"""A request that is repeated under the same Idempotency-Key starts nothing a second time."""

from typing import Any

import pytest
from flask import Flask

from coordinator import idempotency
from tests.integration.database import change, outbox, rows
from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode
from wire.names import TASK_TRAIN

Headers = dict[str, str]
COUNTS = "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM idempotency_keys)"


def post(client: Client, headers: Headers, key: str = "k-1", path: str = "", **changes: Any) -> Any:
    return client.post(URL + path, json=body(**changes), headers=headers | {"Idempotency-Key": key})


def test_a_repeated_request_is_answered_with_the_same_job(app: Flask, client: Client, owner: Headers) -> None:
    first, second = post(client, owner), post(client, owner)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json == second.json
    assert (rows(app, COUNTS), outbox(app)) == ([(1, 1)], [(TASK_TRAIN, 1)])


def test_it_is_answered_as_the_job_is_now(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = post(client, owner).json["run_id"]
    played.train(run_id)
    again = post(client, owner).json
    assert (again["run_id"], again["job_status"], again["model"]["version"]) == (run_id, "SUCCEEDED", 1)


def test_how_the_json_is_spelled_makes_no_difference(client: Client, owner: Headers) -> None:
    run_id = post(client, owner).json["run_id"]
    spelled = ' {"num_envs": 1, "unknown": [], "seed": null,\n "nn_model_config": {"steps": 50000, "behavior_name": "Reach1D"},' \
              '"env_config": {"num_of_areas": 8, "env_id": "re\\u0061ch1d", "agent_id": "1"}, "agent_config": "agent_config"}'  # fmt: skip  # noqa: E501
    answer = client.post(URL, data=spelled, headers=owner | {"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json["run_id"]) == (200, run_id)


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"nn_model_config__steps": 60_000}, {"hyperparameters": {"beta": 0.1}}]
)
def test_the_same_key_for_something_else_is_refused(
    app: Flask, client: Client, owner: Headers, changes: dict[str, Any]
) -> None:
    post(client, owner)
    answer = post(client, owner, **changes)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert answer.json["detail"] == (
        "The Idempotency-Key 'k-1' came with another request before. Repeat that request as it was, or use a new key "
        "for a new one."
    )  # fmt: skip
    assert rows(app, COUNTS) == [(1, 1)]


@pytest.mark.parametrize("is_purged", [False, True])
def test_the_key_of_a_deleted_job_starts_no_other(app: Flask, client: Client, owner: Headers, is_purged: bool) -> None:
    run_id = post(client, owner).json["run_id"]
    client.delete(f"{URL}/{run_id}", headers=owner)
    if is_purged:
        change(app, "DELETE FROM jobs")
    answer = post(client, owner)
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert answer.json["detail"] == "The job of the Idempotency-Key 'k-1' was deleted. Use a new key for a new job."


def test_each_user_has_keys_of_their_own(client: Client, owner: Headers, stranger: Headers) -> None:
    assert post(client, owner).json["run_id"] != post(client, stranger).json["run_id"]


def test_other_keys_and_no_key_start_other_jobs(client: Client, owner: Headers) -> None:
    runs = [post(client, owner).json["run_id"], post(client, owner, "k-2").json["run_id"]]
    runs += [client.post(URL, json=body(), headers=owner).json["run_id"] for _ in range(2)]
    assert len(set(runs)) == 4


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there", "ünïcode"])
def test_a_key_that_is_none_is_refused_with_a_sentence(client: Client, owner: Headers, key: str) -> None:
    answer = post(client, owner, key)
    assert (answer.status_code, answer.json["code"]) == (422, "bad_request")
    assert answer.json["detail"] == "Idempotency-Key must be 1 to 200 printable characters of ASCII."


@pytest.mark.parametrize("key", ["!", "x" * 200, "a key, with 'quotes' & ~"])
def test_any_printable_characters_are_a_key(client: Client, owner: Headers, key: str) -> None:
    assert post(client, owner, key).json == post(client, owner, key).json


def test_a_request_that_is_refused_uses_no_key(app: Flask, client: Client, owner: Headers) -> None:
    assert post(client, owner, env_config__env_id="nowhere").status_code == 422
    assert post(client, owner, nn_model_config__steps=0).status_code == 422
    assert rows(app, COUNTS) == [(0, 0)]
    assert post(client, owner).status_code == 200


def test_a_run_is_resumed_once(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = post(client, owner, "first").json["run_id"]
    played.train(run_id)
    resumed = [post(client, owner, "more", run_id=run_id).json["job_type"] for _ in range(2)]
    played.train(run_id, 2, model=b"another model")
    again = post(client, owner, "more", run_id=run_id).json
    assert (resumed, again["job_status"]) == (["RESUME"] * 2, "SUCCEEDED")


def test_a_resume_that_is_refused_uses_no_key(app: Flask, client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    client.post(f"{URL}/{run_id}/cancel", headers=owner)
    assert post(client, owner, run_id=run_id).status_code == 409
    assert rows(app, COUNTS) == [(1, 0)]


def test_a_run_is_run_again_once(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = post(client, owner, "first").json["run_id"]
    played.train(run_id)
    reruns = {post(client, owner, "again", f"/{run_id}/rerun").json["run_id"] for _ in range(2)}
    assert len(reruns) == 1
    assert post(client, owner, "first", f"/{run_id}/rerun").json["code"] == "idempotency_key_reused"


def test_keys_are_kept_for_seven_days(app: Flask, client: Client, owner: Headers) -> None:
    for key, age in (("old", "7 days 1 minute"), ("young", "6 days 23 hours")):
        post(client, owner, key)
        change(app, "UPDATE idempotency_keys SET created_at = now() - CAST(:age AS interval) WHERE key = :key", age=age,
               key=key)  # fmt: skip
    with app.app_context():
        idempotency.remove_old()
    assert rows(app, "SELECT key FROM idempotency_keys") == ["young"]
