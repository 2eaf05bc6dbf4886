"""What a training yields, byte for byte: the model, the bundle of results, the checkpoint; and who may have it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from coordinator.config import Config
from services.ports import free_ports
from tests.conftest import running
from tests.jobs import URL, Client, body, metric
from tests.played_node import CHECKPOINT, MODEL, PlayedNode
from tests.unit.test_files import decode_bundle

Headers = dict[str, str]


@pytest.fixture
def run_id(client: Client, owner: Headers) -> str:
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def trained(run_id: str, played: PlayedNode) -> str:
    played.train(run_id)
    return run_id


@pytest.fixture
def for_old_games(config: Config) -> Iterator[Client]:
    """The same database, served by an operator who allows games without a token."""
    with running(replace(config, serve_games_without_token=True)) as app:
        yield app.test_client()


def test_the_model_is_its_raw_bytes(client: Client, owner: Headers, trained: str) -> None:
    answer = client.get(f"{URL}/{trained}/nn-model", headers=owner)
    assert answer.status_code == 200
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=model.onnx"
    assert answer.headers["Content-Length"] == str(len(MODEL))
    assert answer.data == MODEL


def test_a_model_of_many_chunks_comes_whole(client: Client, owner: Headers, run_id: str, played: PlayedNode) -> None:
    model = bytes(range(256)) * 10_000
    played.train(run_id, model=model)
    assert client.get(f"{URL}/{run_id}/nn-model", headers=owner).data == model


def test_the_results_are_a_bundle_of_model_and_metrics(client: Client, owner: Headers, trained: str) -> None:
    answer = client.get(f"{URL}/{trained}/train-results", headers=owner)
    assert (answer.status_code, answer.content_type) == (200, "application/octet-stream")
    (model, model_bytes, first), (metrics, lines, second) = decode_bundle(answer.data)
    assert (model, model_bytes, first) == ("model.onnx", MODEL, 0)
    assert (metrics, second) == ("metrics.json", 1)
    texts = json.loads(lines)
    assert [type(text) for text in texts] == [str, str]
    assert json.loads(texts[0]) == {
        "msg_id": 0, "behaviour": "Reach1D", "step": 25_000, "time_elapsed": 25.0, "mean_reward": 0.25,
        "std_reward": 0.1,
    }  # fmt: skip
    assert [json.loads(text)["step"] for text in texts] == [25_000, 50_000]


def test_summaries_without_an_episode_are_not_among_the_results(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.claim(run_id)
    played.say(run_id, metric(1_000, None), metric(2_000, 0.5))
    played.hand_in(run_id, played.upload(run_id, "model", MODEL), facts_sent=2)
    played.finish(run_id)
    _, (_, lines, _) = decode_bundle(client.get(f"{URL}/{run_id}/train-results", headers=owner).data)
    assert [json.loads(line)["step"] for line in json.loads(lines)] == [2_000]


def test_the_checkpoint_is_for_the_node_that_goes_on_from_it(
    client: Client, node: Headers, owner: Headers, trained: str, played: PlayedNode
) -> None:
    client.post(URL, json=body(run_id=trained), headers=owner)
    played.claim(trained, 2)
    answer = client.get(f"{URL}/{trained}/checkpoint", headers=node)
    assert (answer.status_code, answer.data) == (200, CHECKPOINT)
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=checkpoint.pt"
    assert client.get(f"{URL}/{trained}/checkpoint", headers=owner).status_code == 401


def test_a_run_without_a_checkpoint_has_none(client: Client, node: Headers, run_id: str, played: PlayedNode) -> None:
    played.claim(run_id)
    assert client.get(f"{URL}/{run_id}/checkpoint", headers=node).status_code == 404


@pytest.mark.parametrize("path", ["nn-model", "train-results"])
def test_before_the_end_there_is_no_model_but_the_run_exists(
    client: Client, owner: Headers, run_id: str, path: str
) -> None:
    answer = client.get(f"{URL}/{run_id}/{path}", headers=owner)
    assert answer.status_code == 409
    assert answer.json["detail"] == f"Run {run_id} has no model yet: it is SUBMITTED."


@pytest.mark.parametrize("path", ["nn-model", "train-results"])
def test_results_are_the_owners_only(client: Client, stranger: Headers, node: Headers, trained: str, path: str) -> None:
    answers = [client.get(f"{URL}/{trained}/{path}", headers=headers) for headers in ({}, node, stranger)]
    assert [answer.status_code for answer in answers] == [401, 401, 404]


def test_old_games_without_a_token_get_their_model_where_that_is_allowed(for_old_games: Client, trained: str) -> None:
    assert for_old_games.get(f"{URL}/{trained}/nn-model").data == MODEL


def test_whoever_sends_a_token_is_held_to_it(for_old_games: Client, stranger: Headers, trained: str) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    answers = [for_old_games.get(f"{URL}/{trained}/nn-model", headers=headers) for headers in (stranger, wrong)]
    assert [answer.status_code for answer in answers] == [404, 401]


@pytest.mark.parametrize("path", ["", "/train-results", "/metrics", "/checkpoint"])
def test_nothing_but_the_model_is_served_without_a_token(for_old_games: Client, trained: str, path: str) -> None:
    assert for_old_games.get(f"{URL}/{trained}{path}").status_code == 401


def test_old_games_of_one_address_may_ask_as_often_as_one_user(config: Config, trained: str) -> None:
    served = replace(config, serve_games_without_token=True, limits_of_users="requests_per_minute=12")
    with running(served) as app:
        path = f"{URL}/{trained}/nn-model"
        answers = [app.test_client().get(path) for _ in range(3)]
        assert [it.status_code for it in answers] == [200, 200, 429]
        assert answers[-1].headers["Retry-After"] == "5"
        assert (answers[-1].json or {})["detail"].startswith("Address 127.0.0.1 may send 12 requests a minute")
        other = {"REMOTE_ADDR": "192.0.2.7"}
        assert app.test_client().get(path, environ_base=other).status_code == 200


def test_a_deleted_runs_model_is_gone(client: Client, for_old_games: Client, owner: Headers, trained: str) -> None:
    client.delete(f"{URL}/{trained}", headers=owner)
    assert client.get(f"{URL}/{trained}/nn-model", headers=owner).status_code == 404
    assert for_old_games.get(f"{URL}/{trained}/nn-model").status_code == 404


@pytest.fixture
def without_s3(config: Config, trained: str) -> Iterator[Flask]:
    """The web where S3 does not answer."""
    with running(replace(config, s3_endpoint_url=f"http://127.0.0.1:{free_ports(1, set())[0]}")) as app:
        yield app


@pytest.mark.parametrize("path", ["nn-model", "train-results"])
def test_while_s3_is_away_the_answer_is_to_try_again(
    without_s3: Flask, owner: Headers, trained: str, path: str
) -> None:
    client: Client = without_s3.test_client()
    answer = client.get(f"{URL}/{trained}/{path}", headers=owner)
    assert answer.status_code == 503
    assert answer.json["detail"].startswith("The file can't be read from storage at the moment")
    assert answer.headers["Retry-After"] == "2"
