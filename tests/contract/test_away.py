"""While PostgreSQL is away every answer is 503: a game that read 404 would forget its run."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordinator.config import Config
from services.stack import Stack
from tests.conftest import running
from tests.gate import Gate
from tests.jobs import URL, Client, body
from tests.played_node import NODE_API

Headers = dict[str, str]
RUN = "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a"
NODES = f"{NODE_API}/attempts/{RUN}/1"
CLAIM = {"run_id": RUN, "attempt": 1, "claim": RUN}
DETAIL = "The database can't be reached at the moment. Nothing is lost; try again in a few seconds."


@pytest.fixture
def gate(stack: Stack) -> Iterator[Gate]:
    made = Gate(stack.ports["POSTGRES_PORT"])
    yield made
    made.shut()


@pytest.fixture
def client(config: Config, gate: Gate) -> Iterator[Client]:
    through = replace(config, database_url=gate.url(config.database_url), serve_games_without_token=True)
    with running(through) as app:
        yield app.test_client()


@pytest.mark.parametrize("knew_them", [True, False], ids=["whose tokens were known", "whom it does not know yet"])
def test_every_call_is_answered_with_try_again(
    client: Client, owner: Headers, node: Headers, gate: Gate, knew_them: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if knew_them:
        assert client.get(URL, headers=owner).status_code == 200
        assert client.post(f"{NODE_API}/hello", json={"slots": 1}, headers=node).status_code == 200
    else:
        monkeypatch.setattr("coordinator.accounts.tokens._known", {})
    gate.shut()
    calls = [
        client.post(URL, json=body(), headers=owner), client.post(URL, json=body(run_id=RUN), headers=owner),
        client.get(URL, headers=owner), client.get(f"{URL}/{RUN}", headers=owner),
        client.delete(f"{URL}/{RUN}", headers=owner), client.post(f"{URL}/{RUN}/cancel", headers=owner),
        client.get(f"{URL}/{RUN}/metrics", headers=owner), client.get(f"{URL}/{RUN}/nn-model"),
        client.get(f"{URL}/{RUN}/nn-model", headers=owner), client.get(f"{URL}/{RUN}/train-results", headers=owner),
        client.get(f"{URL}/{RUN}/checkpoint", headers=node), client.get("/readyz"),
        client.post(f"{NODE_API}/hello", json={"slots": 1}, headers=node), client.get(NODE_API, headers=owner),
        client.post(f"{NODE_API}/claims", json=CLAIM, headers=node), client.post(f"{NODES}/heartbeat", headers=node),
        client.post(f"{NODES}/uploads", json={"name": "model.onnx"}, headers=node),
    ]  # fmt: skip
    assert [(call.request.path, call.status_code) for call in calls if call.status_code != 503] == []
    assert {call.json["detail"] for call in calls} == {DETAIL}
    assert {call.headers["Retry-After"] for call in calls} == {"2"}


def test_it_serves_again_as_soon_as_postgresql_is_back(client: Client, owner: Headers, gate: Gate) -> None:
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    gate.shut()
    assert client.get(f"{URL}/{run_id}", headers=owner).status_code == 503
    gate.open()
    assert client.get(f"{URL}/{run_id}", headers=owner).json["job_status"] == "SUBMITTED"


def test_what_needs_no_database_is_answered_meanwhile(client: Client, owner: Headers, gate: Gate) -> None:
    assert client.get(URL, headers=owner).status_code == 200
    gate.shut()
    assert client.get("/livez").json == {"status": "alive"}
    assert client.get("/nowhere").status_code == 404
    assert client.post(URL, json=body(nn_model_config__steps="many"), headers=owner).status_code == 422
