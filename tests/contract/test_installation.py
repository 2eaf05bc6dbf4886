"""docs/protocol.md, people: what an operator does over the API with the installation's users and teams."""

from typing import Any

import pytest
from flask import Flask

from coordinator.accounts import tokens
from tests.jobs import URL, Client, bearer, body
from tests.people import STUDIO, People, people

Headers = dict[str, str]
USERS, TEAMS = "/api/v1/users", "/api/v1/teams"


@pytest.fixture
def its(app: Flask) -> People:
    with app.app_context():
        return people()


@pytest.fixture
def operator(its: People) -> Headers:
    return its.headers("operator")


def listed(client: Client, operator: Headers) -> dict[str, Any]:
    return {it["name"]: it for it in client.get(USERS, headers=operator).json}


def test_a_user_is_made_with_a_key_that_is_shown_once(client: Client, operator: Headers) -> None:
    made = client.post(USERS, json={"name": "ann"}, headers=operator).json
    key = bearer(made.pop("token"))
    assert {name: made[name] for name in ("name", "is_operator", "issuer", "subject", "disabled_at")} == {
        "name": "ann", "is_operator": False, "issuer": None, "subject": None, "disabled_at": None}  # fmt: skip
    assert client.post(URL, json=body(), headers=key).status_code == 200
    assert client.post("/api/v1/tokens", json={"name": "a game"}, headers=key).status_code == 200
    shown = listed(client, operator)["ann"]
    assert shown.pop("last_seen_at")
    assert shown == {name: value for name, value in made.items() if name != "last_seen_at"}


@pytest.mark.parametrize(("name", "status"), [("owner", 409), (f"{STUDIO} admin", 409), ("a/b", 422), ("", 422)])
def test_a_user_needs_a_name_of_his_own(client: Client, operator: Headers, name: str, status: int) -> None:
    assert client.post(USERS, json={"name": name}, headers=operator).status_code == status


def test_a_team_is_made_with_its_owner(client: Client, operator: Headers, its: People) -> None:
    made = client.post(TEAMS, json={"name": "lab", "owner": "mate admin"}, headers=operator).json
    assert [(it["user"], it["role"]) for it in made] == [("mate admin", "owner")]
    for wanted, status in (({"name": "lab", "owner": "mate admin"}, 409), ({"name": "x", "owner": "nobody"}, 404)):
        assert client.post(TEAMS, json=wanted, headers=operator).status_code == status


def test_whatever_a_disabled_user_sends_is_refused(app: Flask, client: Client, operator: Headers) -> None:
    with app.app_context():
        his = [bearer(tokens.create_for_user("bob", scope=scope)) for scope in ("read", "admin")]
    run_id = client.post(URL, json=body(), headers=his[1]).json["run_id"]
    answer = client.put(f"{USERS}/bob", json={"is_disabled": True}, headers=operator)
    assert answer.json["disabled_at"]
    assert [client.get(URL, headers=it).json["detail"] for it in his] == [tokens.DISABLED] * 2
    assert client.get(f"{URL}/{run_id}", headers=operator).status_code == 200  # what he has made stays
    assert client.put(f"{USERS}/bob", json={"is_disabled": False}, headers=operator).json["disabled_at"] is None
    assert [client.get(URL, headers=it).status_code for it in his] == [200] * 2


def test_an_operator_is_made_and_unmade(client: Client, operator: Headers) -> None:
    key = bearer(client.post(USERS, json={"name": "eve"}, headers=operator).json["token"])
    assert client.get(USERS, headers=key).status_code == 403
    assert client.put(f"{USERS}/eve", json={"is_operator": True}, headers=operator).json["is_operator"] is True
    assert client.get(USERS, headers=key).status_code == 200
    assert client.put(f"{USERS}/eve", json={}, headers=operator).json["is_operator"] is True
    client.put(f"{USERS}/eve", json={"is_operator": False}, headers=operator)
    assert client.get(USERS, headers=key).status_code == 403


@pytest.mark.parametrize("change", [{"is_operator": False}, {"is_disabled": True}], ids=str)
def test_nobody_shuts_himself_out(client: Client, operator: Headers, change: Any) -> None:
    answer = client.put(f"{USERS}/operator admin", json=change, headers=operator)
    assert (answer.status_code, answer.json["detail"]) == (409, "You cannot change yourself: ask another operator.")


@pytest.mark.parametrize(("change", "status"), [({"is_operator": 1}, 422), ({"is_disabled": "yes"}, 422)], ids=str)
def test_what_a_user_is_is_true_or_false(client: Client, operator: Headers, change: Any, status: int) -> None:
    assert client.put(f"{USERS}/owner", json=change, headers=operator).status_code == status


def test_an_operators_token_for_a_game_does_none_of_this(app: Flask, client: Client, its: People) -> None:
    with app.app_context():
        game = bearer(tokens.create_for_user("operator admin", scope="write"))
    answers = [client.get(USERS, headers=game), client.post(USERS, json={"name": "x"}, headers=game)]
    assert [it.status_code for it in answers] == [403, 403]
    assert "'admin' is needed" in answers[0].json["detail"]


def test_the_commands_disable_and_enable_too(app: Flask, client: Client, owner: Headers) -> None:
    run = app.test_cli_runner().invoke
    assert run(args=["users", "disable", "owner"]).output.endswith(" disabled\n")
    assert client.get(URL, headers=owner).status_code == 401
    assert " disabled" in run(args=["users", "list"]).output
    assert " disabled" not in run(args=["users", "enable", "owner"]).output
    assert client.get(URL, headers=owner).status_code == 200
