"""What decided a run's result is kept, and the run can be made once more and compared."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.jobs import URL, Client, body, metric, phase
from tests.played_node import CHECKPOINT, MODEL, PlayedNode

Headers = dict[str, str]
BUNDLE: dict[str, Any] = {"seed": 7, "threads": 1, "packages": {"torch": "2.13.0"}, "configuration": {"behaviors": {}}}


def train(played: PlayedNode, run_id: str, reward: float = 0.5, model: bytes = MODEL, **bundle: Any) -> None:
    """A training as a node reports it, with its bundle."""
    assert played.claim(run_id).status_code == 200
    facts = [phase("STARTING"), phase("RUNNING"), metric(25_000, 0.25), metric(50_000, reward)]
    played.say(run_id, *facts)
    content = BUNDLE | bundle
    its = replace(played.upload(run_id, "bundle", json.dumps(content).encode()), manifest=content)
    kept = played.upload(run_id, "model", model), played.upload(run_id, "checkpoint", CHECKPOINT), its
    played.hand_in(run_id, *kept, facts_sent=len(facts), steps=50_000)
    played.finish(run_id)


@pytest.fixture
def trained(client: Client, owner: Headers, played: PlayedNode) -> str:
    asked = body(seed=7, hyperparameters={"learning_rate": 0.001}, checkpoint_interval=5_000)
    run_id = str(client.post(URL, json=asked, headers=owner).json["run_id"])
    train(played, run_id)
    return run_id


def rerun(client: Client, headers: Headers, run_id: str) -> Any:
    return client.post(f"{URL}/{run_id}/rerun", headers=headers)


def get(client: Client, headers: Headers, run_id: str, path: str = "") -> Any:
    return client.get(f"{URL}/{run_id}{path}", headers=headers)


def test_bundle_and_resolved_configuration_are_shown(client: Client, owner: Headers, trained: str) -> None:
    assert get(client, owner, trained, "/bundle").json == BUNDLE
    assert get(client, owner, trained, "/configuration").json == {"behaviors": {}}


@pytest.mark.parametrize("path", ["/bundle", "/configuration"])
def test_before_an_attempt_has_handed_in_there_is_neither(client: Client, owner: Headers, path: str) -> None:
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    answer = get(client, owner, run_id, path)
    assert answer.status_code == 409
    assert f"has no {path[1:]} yet: it is SUBMITTED." in answer.json["detail"]


def test_a_stranger_sees_nothing_and_repeats_nothing(client: Client, stranger: Headers, trained: str) -> None:
    answers = [get(client, stranger, trained, path) for path in ("/bundle", "/configuration")]
    assert {it.status_code for it in (*answers, rerun(client, stranger, trained))} == {404}


def test_a_rerun_asks_for_the_same_everything(client: Client, owner: Headers, trained: str, played: PlayedNode) -> None:
    job = rerun(client, owner, trained).json
    assert (job["rerun_of"], job["comparison"], job["state"]) == (trained, None, "SUBMITTED")
    first = get(client, owner, trained).json
    same = ("seed", "hyperparameters", "checkpoint_interval", "num_envs", "env_config", "nn_model_config")
    assert {name: job[name] for name in same} == {name: first[name] for name in same}


def test_a_rerun_computes_with_as_many_threads_as_the_first_run_wherever_it_runs(
    client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = str(client.post(URL, json=body(seed=7), headers=owner).json["run_id"])
    train(played, run_id, threads=3)
    again = rerun(client, owner, run_id).json["run_id"]
    assert played.claim(again).json["spec"]["threads"] == 3


def test_a_run_that_has_not_ended_or_never_began_is_not_repeated(client: Client, owner: Headers) -> None:
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    assert rerun(client, owner, run_id).json["detail"] == (
        f"Run {run_id} is SUBMITTED; it can be run again once it has ended."
    )
    client.post(f"{URL}/{run_id}/cancel", headers=owner)
    answer = rerun(client, owner, run_id)
    assert (answer.status_code, "was never started" in answer.json["detail"]) == (409, True)


def test_an_identical_rerun_is_told_so(client: Client, owner: Headers, trained: str, played: PlayedNode) -> None:
    again = rerun(client, owner, trained).json["run_id"]
    train(played, again)
    comparison = get(client, owner, again).json["comparison"]
    assert comparison["identical"] is True
    assert comparison["differences"] == []
    assert comparison["summary"] == (
        "Bit-identical: 2 summaries, the model and the checkpoint. The bundles are the same."
    )


def test_another_rerun_is_told_with_the_lines_that_differ(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    again = rerun(client, owner, trained).json["run_id"]
    train(played, again, reward=0.75, model=b"another", packages={"torch": "2.12.0"})
    comparison = get(client, owner, again).json["comparison"]
    assert comparison["identical"] is False
    assert comparison["metrics"]["first_difference"] == {
        "step": 50_000,
        "line": "mean_reward",
        "then": 0.5,
        "now": 0.75,
    }
    assert comparison["differences"] == [{"line": "packages.torch", "then": "2.13.0", "now": "2.12.0"}]
    assert comparison["summary"] == (
        "Not identical: the metrics differ from step 50000 on (mean_reward), the model differs. "
        "The bundles differ in packages.torch."
    )


def test_a_rerun_that_fails_says_so(client: Client, owner: Headers, trained: str, played: PlayedNode) -> None:
    again = rerun(client, owner, trained).json["run_id"]
    played.claim(again)
    played.hand_in(again, status="failed", error="It broke.")
    played.finish(again)
    comparison = get(client, owner, again).json["comparison"]
    assert comparison["identical"] is False
    assert comparison["summary"].startswith("The rerun ended as FAILED: It broke. The bundles differ in ")


def test_what_the_first_run_went_through_is_told(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    """It was resumed: the rerun trains in one go what the first one trained in two."""
    client.post(URL, json=body(run_id=trained), headers=owner)
    played.train(trained, 2, steps=100_000)
    job = rerun(client, owner, trained).json
    assert job["nn_model_config"]["steps"] == 100_000
    train(played, job["run_id"])
    comparison = get(client, owner, job["run_id"]).json["comparison"]
    assert {"line": "attempts", "then": 2, "now": 1} in comparison["differences"]


def test_without_the_first_run_there_is_nothing_to_compare(
    client: Client, owner: Headers, trained: str, played: PlayedNode
) -> None:
    again = rerun(client, owner, trained).json["run_id"]
    client.delete(f"{URL}/{trained}", headers=owner)
    train(played, again)
    assert get(client, owner, again).json["comparison"]["identical"] is None
