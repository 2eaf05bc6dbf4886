"""docs/protocol.md, REST: jobs as games submit, list, read, cancel and delete them. Success is exactly 200."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.jobs import BODY, URL, Client, body, metric, phase
from tests.played_node import PlayedNode

SIX = {"SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"}
Headers = dict[str, str]


def submit(client: Client, headers: Headers, **changes: Any) -> dict[str, Any]:
    answer = client.post(URL, json=body(**changes), headers=headers)
    assert answer.status_code == 200, answer.json
    job: dict[str, Any] = answer.json
    return job


def assert_is_a_train_job(job: dict[str, Any]) -> None:
    """Names and types to the letter."""
    assert str(UUID(job["run_id"])) == job["run_id"]
    assert job["job_status"] in SIX
    assert job["job_type"] in {"CREATE", "RESUME"}
    assert type(job["nn_model_config"]["behavior_name"]) is str
    assert type(job["nn_model_config"]["steps"]) is int
    assert type(job["agent_config"]) is str
    assert [type(job["env_config"][name]) for name in ("agent_id", "env_id", "num_of_areas")] == [str, str, int]
    assert type(job["id"]) is str
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None
    assert isinstance(job["created_by"], dict)


def test_a_job_is_answered_as_it_was_asked_for(client: Client, owner: Headers) -> None:
    job = submit(client, owner)
    assert_is_a_train_job(job)
    assert (job["job_status"], job["job_type"]) == ("SUBMITTED", "CREATE")
    assert {name: job[name] for name in BODY} == BODY
    assert (job["created_by"]["name"], job["team"]) == ("owner", "owner")


def test_a_seed_is_kept_and_without_one_it_is_random(client: Client, owner: Headers) -> None:
    assert submit(client, owner, seed=0)["seed"] == 0
    assert submit(client, owner)["seed"] != submit(client, owner)["seed"]


def test_it_reads_the_same_afterwards_alone_and_in_the_list(client: Client, owner: Headers) -> None:
    """But for its place, for which a submit does not wait."""
    job = submit(client, owner) | {"queue_position": 1}
    shown, listed = client.get(f"{URL}/{job['run_id']}", headers=owner), client.get(URL, headers=owner)
    assert (shown.status_code, listed.status_code) == (200, 200)
    assert {name: shown.json[name] for name in job} == job
    assert listed.json == [job]


def test_the_list_holds_the_callers_jobs_newest_first(client: Client, owner: Headers, stranger: Headers) -> None:
    jobs = [submit(client, owner)["run_id"] for _ in range(3)]
    submit(client, stranger)
    assert [job["run_id"] for job in client.get(URL, headers=owner).json] == jobs[::-1]


def test_who_has_no_jobs_gets_an_empty_list(client: Client, stranger: Headers) -> None:
    answer = client.get(URL, headers=stranger)
    assert (answer.status_code, answer.json) == (200, [])


@pytest.mark.parametrize("agent_id", ["1", "", "Agent 7", "ünï\u2028\U0001f600", "x" * 10_000, "a\nb", "%s'\";--"])
def test_the_agents_id_comes_back_as_it_was_sent(client: Client, owner: Headers, agent_id: str) -> None:
    job = submit(client, owner, env_config__agent_id=agent_id)
    assert job["env_config"]["agent_id"] == agent_id
    assert client.get(f"{URL}/{job['run_id']}", headers=owner).json["env_config"]["agent_id"] == agent_id


def test_unknown_fields_are_ignored(client: Client, owner: Headers) -> None:
    job = submit(client, owner, colour=10, nn_model_config__speed=[1, {"a": None}], env_config__seed=3, id="mine")
    assert {name: job[name] for name in BODY} == BODY


def test_a_run_id_that_is_null_is_none(client: Client, owner: Headers) -> None:
    assert submit(client, owner, run_id=None)["job_type"] == "CREATE"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense"])
def test_the_content_type_of_a_game_does_not_matter(client: Client, owner: Headers, content_type: str) -> None:
    text = '{"agent_config":"agent_config","env_config":{"agent_id":"1","env_id":"reach1d","num_of_areas":8},' \
           '"nn_model_config":{"behavior_name":"Reach1D","steps":50000}}'  # fmt: skip
    assert client.post(URL, data=text, headers=owner | {"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize(("steps", "areas"), [(1_000, 1), (1_000_000, 64)])
def test_the_limits_of_an_environment_are_allowed(client: Client, owner: Headers, steps: int, areas: int) -> None:
    submit(client, owner, nn_model_config__steps=steps, env_config__num_of_areas=areas)


def test_games_read_each_state_in_their_own_words(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]

    def status() -> str:
        shown = client.get(f"{URL}/{run_id}", headers=owner).json
        assert_is_a_train_job(shown)
        return str(shown["job_status"])

    seen = [status()]
    played.claim(run_id)
    seen.append(status())
    for number, fact in enumerate([phase("STARTING"), phase("RUNNING")], 1):
        played.say(run_id, fact, first=number)
        seen.append(status())
    played.hand_in(run_id, played.upload(run_id, "model", b"model"), facts_sent=2)
    played.finish(run_id)
    assert [*seen, status()] == ["SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED"]


def test_a_waiting_job_is_cancelled_at_once_and_failed_to_games(client: Client, owner: Headers) -> None:
    run_id = submit(client, owner)["run_id"]
    answer = client.post(f"{URL}/{run_id}/cancel", headers=owner)
    assert answer.status_code == 200
    assert_is_a_train_job(answer.json)
    assert (answer.json["job_status"], answer.json["state"]) == ("FAILED", "CANCELLED")
    assert answer.json["error"] == "It was cancelled before a node had started it."


def test_a_cancelled_job_is_cancelled_once(client: Client, owner: Headers, told: list[Any]) -> None:
    run_id = submit(client, owner)["run_id"]
    answers = [client.post(f"{URL}/{run_id}/cancel", headers=owner).json for _ in range(2)]
    assert answers[0] == answers[1]
    assert [one.seq for one in told] == [2]


def test_a_running_job_is_cancelled_once_its_node_has_stopped(
    client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = submit(client, owner)["run_id"]
    played.claim(run_id)
    assert played.heartbeat(run_id).json == {"answer": "go on"}
    answer = client.post(f"{URL}/{run_id}/cancel", headers=owner).json
    assert (answer["job_status"], answer["cancel_requested"]) == ("RETRIEVED", True)
    assert played.heartbeat(run_id).json == {"answer": "cancel"}
    played.hand_in(run_id, status="stopped")
    played.finish(run_id)
    shown = client.get(f"{URL}/{run_id}", headers=owner).json
    assert (shown["job_status"], shown["state"], shown["error"]) == ("FAILED", "CANCELLED", "It was cancelled.")
    assert played.heartbeat(run_id).json == {"answer": "not yours"}


def test_what_has_ended_cannot_be_cancelled_any_more(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]
    played.train(run_id)
    answer = client.post(f"{URL}/{run_id}/cancel", headers=owner)
    assert (answer.status_code, answer.json["job_status"]) == (200, "SUCCEEDED")
    assert answer.json["cancel_requested"] is False


def test_a_deleted_job_is_answered_with_true_and_is_gone(client: Client, owner: Headers) -> None:
    run_id = submit(client, owner)["run_id"]
    answer = client.delete(f"{URL}/{run_id}", headers=owner)
    assert (answer.status_code, answer.json) == (200, True)
    assert client.get(f"{URL}/{run_id}", headers=owner).status_code == 404
    assert client.get(URL, headers=owner).json == []
    assert client.delete(f"{URL}/{run_id}", headers=owner).status_code == 404


def test_deleting_a_running_job_stops_its_training(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]
    played.claim(run_id)
    assert client.delete(f"{URL}/{run_id}", headers=owner).json is True
    assert played.heartbeat(run_id).json == {"answer": "cancel"}


def test_a_deleted_job_is_never_started(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]
    client.delete(f"{URL}/{run_id}", headers=owner)
    assert played.claim(run_id).status_code == 409


@pytest.mark.parametrize("path", ["", "/nn-model", "/train-results", "/metrics"])
def test_a_strangers_job_does_not_exist(client: Client, owner: Headers, stranger: Headers, path: str) -> None:
    run_id = submit(client, owner)["run_id"]
    theirs = client.get(f"{URL}/{run_id}{path}", headers=stranger)
    nobodys = client.get(f"{URL}/{uuid4()}{path}", headers=stranger)
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json["detail"] == f"There is no run {run_id} among your jobs."


def test_a_stranger_can_neither_cancel_delete_nor_resume(client: Client, owner: Headers, stranger: Headers) -> None:
    run_id = submit(client, owner)["run_id"]
    assert client.delete(f"{URL}/{run_id}", headers=stranger).status_code == 404
    assert client.post(f"{URL}/{run_id}/cancel", headers=stranger).status_code == 404
    assert client.post(URL, json=body(run_id=run_id), headers=stranger).status_code == 404
    assert client.get(f"{URL}/{run_id}", headers=owner).json["job_status"] == "SUBMITTED"


def test_every_statistic_of_a_training_can_be_read(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]
    played.claim(run_id)
    played.say(run_id, metric(1_000, None), metric(2_000, 0.5))
    rows = client.get(f"{URL}/{run_id}/metrics", headers=owner).json
    assert [(row["step"], row["mean_reward"], row["attempt"]) for row in rows] == [(1_000, None, 1), (2_000, 0.5, 1)]
    assert rows[0]["statistics"] == {"Losses/Policy Loss": {"mean": 0.02}}


def test_a_job_shows_its_attempts_and_why_they_ended(client: Client, owner: Headers, played: PlayedNode) -> None:
    run_id = submit(client, owner)["run_id"]
    played.claim(run_id)
    played.lose(run_id, cause="Its node was silent for 25 s.")
    played.claim(run_id, 2)
    attempts = client.get(f"{URL}/{run_id}", headers=owner).json["attempts"]
    assert [(it["attempt"], it["node"], it["kind"], it["cause"]) for it in attempts] == [
        (1, "node", "lost", "Its node was silent for 25 s."), (2, "node", None, None),
    ]  # fmt: skip
