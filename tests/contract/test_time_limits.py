"""How long a job may train: what it asks for, what the operator allows, what earlier attempts have left of it."""

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from coordinator.parts import parts
from tests.integration.database import change
from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode

Headers = dict[str, str]


def submit(client: Client, headers: Headers, **changes: Any) -> Any:
    return client.post(URL, json=body(**changes), headers=headers)


def begun_before(app: Flask, seconds: int) -> None:
    """The open attempt is older than it is."""
    older = "UPDATE attempts SET claimed_at = claimed_at - :seconds * interval '1 second' WHERE ended_at IS NULL"
    change(app, older, seconds=seconds)


def test_a_limit_reaches_the_node_and_is_shown(client: Client, owner: Headers, played: PlayedNode) -> None:
    job = submit(client, owner, time_limit=600).json
    spec = played.claim(job["run_id"]).json["spec"]
    assert (job["time_limit"], spec["time_limit"], spec["time_left_s"]) == (600, 600, 600.0)


def test_without_a_limit_there_is_none(client: Client, owner: Headers, played: PlayedNode) -> None:
    job = submit(client, owner).json
    spec = played.claim(job["run_id"]).json["spec"]
    assert (job["time_limit"], spec["time_limit"], spec["time_left_s"]) == (None, None, None)


def test_the_time_of_lost_attempts_counts(app: Flask, client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner, time_limit=600).json["run_id"]
    for number, seconds in ((1, 250), (2, 400)):
        played.claim(run_id, number)
        begun_before(app, seconds)
        played.lose(run_id, number)
    assert -60 < played.claim(run_id, 3).json["spec"]["time_left_s"] <= -50


def test_a_resumed_run_has_all_of_its_time_again_or_another_limit(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, owner, time_limit=600).json["run_id"]
    played.train(run_id)
    assert submit(client, owner, run_id=run_id).json["time_limit"] == 600
    assert played.claim(run_id, 2).json["spec"]["time_left_s"] == 600.0
    played.hand_in(run_id, *[played.upload(run_id, kind, b"more", 2) for kind in ("model", "checkpoint")], attempt=2)
    played.finish(run_id, 2)
    assert submit(client, owner, run_id=run_id, time_limit=60).json["time_limit"] == 60


def test_a_rerun_has_the_same_limit(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner, time_limit=600).json["run_id"]
    played.train(run_id)
    assert client.post(f"{URL}/{run_id}/rerun", headers=owner).json["time_limit"] == 600


@pytest.mark.parametrize("limit", [0, -1, 1.5, "600", 31_536_001])
def test_a_limit_is_a_whole_number_of_seconds(shared_client: Client, owner: Headers, limit: Any) -> None:
    answer = submit(shared_client, owner, time_limit=limit)
    assert answer.status_code == 422
    assert answer.json["detail"].startswith("time_limit: ")


def test_the_operators_bound_holds_for_all(app: Flask, client: Client, owner: Headers) -> None:
    its = parts(app)
    replace(its, config=replace(its.config, max_time_limit=3_600)).install(app)
    assert submit(client, owner).json["time_limit"] == 3_600
    assert submit(client, owner, time_limit=60).json["time_limit"] == 60
    answer = submit(client, owner, time_limit=7_200)
    assert (answer.status_code, answer.json["detail"]) == (
        422, "time_limit: A job may train for at most 3600 s here, not 7200.",
    )  # fmt: skip
