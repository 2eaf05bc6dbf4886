"""Who may do what: a token for everything, kept as a digest, a user's for games and a node's for nodes."""

import pytest
from flask import Flask
from sqlalchemy import text

from coordinator.accounts import tokens
from coordinator.extensions import db
from tests.conftest import Template
from tests.jobs import URL, Client, bearer, body
from wire.enrolment import decode

Headers = dict[str, str]
RUN = "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a"
FOR_USERS = [
    ("POST", URL), ("GET", URL), ("GET", f"{URL}/{RUN}"), ("DELETE", f"{URL}/{RUN}"), ("POST", f"{URL}/{RUN}/cancel"),
    ("GET", f"{URL}/{RUN}/metrics"), ("GET", f"{URL}/{RUN}/nn-model"), ("GET", f"{URL}/{RUN}/train-results"),
    ("GET", "/api/v1/node"),
]  # fmt: skip
FOR_NODES = [
    ("POST", "/api/v1/node/hello"), ("POST", "/api/v1/node/claims"),
    ("POST", "/api/v1/node/self-check"), ("POST", f"/api/v1/node/attempts/{RUN}/1/heartbeat"),
    ("POST", f"/api/v1/node/attempts/{RUN}/1/uploads"), ("GET", f"{URL}/{RUN}/checkpoint"),
]  # fmt: skip
WRONG = ["", "Bearer", "Bearer ", "Bearer wrong", "Basic b3duZXI6cA==", "wrong", "Bearer tj_" + "a" * 43,
         "Bearer \x7f\xe4", "Bearer " + "x" * 5_000]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), [*FOR_USERS, *FOR_NODES])
def test_nothing_is_served_without_a_token(shared_client: Client, method: str, path: str) -> None:
    answer = shared_client.open(path, method=method)
    assert answer.status_code == 401
    assert answer.json["detail"] == "This needs a token. Send it as 'Authorization: Bearer <token>'."
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", WRONG, ids=lambda it: repr(it[:30]))
def test_a_wrong_token_is_refused_with_a_sentence(shared_client: Client, header: str) -> None:
    for method, path in (FOR_USERS[0], FOR_NODES[0]):
        answer = shared_client.open(path, method=method, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json["detail"].endswith(".")


@pytest.mark.parametrize(("method", "path"), FOR_USERS)
def test_a_nodes_token_is_no_users(shared_client: Client, node: Headers, method: str, path: str) -> None:
    answer = shared_client.open(path, method=method, headers=node)
    assert answer.status_code == 401
    assert answer.json["detail"] == "This is a training node's token; a user's token is needed here."


@pytest.mark.parametrize(("method", "path"), FOR_NODES)
def test_a_users_token_is_no_nodes(shared_client: Client, owner: Headers, method: str, path: str) -> None:
    answer = shared_client.open(path, method=method, headers=owner)
    assert answer.status_code == 401
    assert answer.json["detail"] == "This is a user's token; a training node's token is needed here."


def test_the_word_bearer_may_be_written_as_one_likes(shared_client: Client, template: Template) -> None:
    for header in (f"bearer {template.owner}", f"BEARER   {template.owner} "):
        assert shared_client.get(URL, headers={"Authorization": header}).status_code == 200


def test_a_token_is_shown_once_and_stored_as_a_digest(app: Flask) -> None:
    with app.app_context():
        token = tokens.create_for_user("somebody")
        row = db.session.execute(text("SELECT t::text AS row FROM tokens t")).scalars().all()
    assert token.startswith("tj_")
    assert not [one for one in row if token in one]


def test_a_second_token_of_a_user_opens_the_same_jobs(app: Flask, client: Client, owner: Headers) -> None:
    with app.app_context():
        second = tokens.create_for_user("owner")
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    assert client.get(f"{URL}/{run_id}", headers=bearer(second)).status_code == 200


def test_a_revoked_token_stops_working(app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KNOWN_SECONDS", 0.0)
    with app.app_context():
        token = tokens.create_for_user("somebody")
        assert client.get(URL, headers=bearer(token)).status_code == 200
        db.session.execute(text("UPDATE tokens SET revoked_at = now()"))
        db.session.commit()
    assert client.get(URL, headers=bearer(token)).status_code == 401


def test_the_commands_print_a_token_that_works(app: Flask, client: Client) -> None:
    runner = app.test_cli_runner()
    user = runner.invoke(args=["tokens", "create", "player"]).output.strip()
    machine = decode(runner.invoke(args=["nodes", "enroll", "gpu-1"]).output.split()[-1])["NODE_TOKEN"]
    assert client.get(URL, headers=bearer(user)).status_code == 200
    assert client.post("/api/v1/node/hello", json={"slots": 2}, headers=bearer(machine)).status_code == 200
    (shown,) = [it for it in client.get("/api/v1/node", headers=bearer(user)).json if it["name"] == "gpu-1"]
    assert shown["slots"] == 2
    assert shown["last_seen_at"]
