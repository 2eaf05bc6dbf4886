"""Enrolling and revoking a node, as an operator does it by command, and revoking it over REST."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from kombu import Connection

from coordinator.broker_logins import make_again
from coordinator.broker_users import BY_HAND, BrokerUsers
from coordinator.parts import parts
from services.platform import wait_until
from tests.brokers import logs_in
from tests.conftest import Template
from tests.integration.database import rows
from tests.jobs import URL, Client, bearer, body, metric
from tests.people import people
from tests.played_node import MODEL, PlayedNode
from wire.enrolment import decode, read
from wire.names import NODE_API

NAME = "a.b+c(d)"
HELLO = {"slots": 1}


@pytest.fixture
def api(app: Flask) -> str:
    """RabbitMQ's management API."""
    return parts(app).config.broker_api


def run(app: Flask, *command: str) -> Any:
    return app.test_cli_runner().invoke(args=["nodes", *command])


def enrolled(app: Flask, name: str = NAME) -> dict[str, str]:
    done = run(app, "enroll", name)
    assert done.exit_code == 0, done.output
    return decode(done.stdout.split()[-1])


@pytest.fixture
def told(app: Flask, api: str) -> Iterator[dict[str, str]]:
    """What a new node was told; its user is gone at the end."""
    its = enrolled(app)
    yield its
    requests.delete(f"{api}users/{user_of(its)}", timeout=10)


def user_of(its: dict[str, str]) -> str:
    return str(Connection(its["BROKER_URL"]).userid)


@pytest.fixture
def operator(app: Flask) -> dict[str, str]:
    with app.app_context():
        return people().headers("operator")


def revoked(client: Client, operator: dict[str, str], name: str = NAME) -> Any:
    """Over REST."""
    return client.post(f"{NODE_API}/{name}/revoke", headers=operator)


def says_hello(client: Client, its: dict[str, str]) -> int:
    return int(client.post(f"{NODE_API}/hello", json=HELLO, headers=bearer(its["NODE_TOKEN"])).status_code)


def test_an_enrolled_node_has_a_token_and_a_user_with_the_rights_of_a_node(
    client: Client, told: dict[str, str], api: str
) -> None:
    assert (told["NODE_NAME"], told["COORDINATOR_URL"]) == (NAME, "http://127.0.0.1:8080")
    assert (says_hello(client, told), logs_in(told)) == (200, True)
    (its,) = requests.get(f"{api}users/{user_of(told)}/permissions", timeout=10).json()
    assert (its["configure"], its["write"], its["read"]) == (
        "^$", "^(celeryev|coordx|states)$", r"^train(\.[0-9a-f]{16})?$")  # fmt: skip
    assert requests.get(f"{api}users/{user_of(told)}", timeout=10).json()["tags"] in ([], "")


def test_enrolled_again_it_gets_new_ones_and_the_old_end_at_once(
    app: Flask, client: Client, told: dict[str, str]
) -> None:
    with Connection(told["BROKER_URL"]) as old:
        old.connect()
        again = enrolled(app)
        with pytest.raises(old.connection_errors, match="CONNECTION_FORCED"):
            old.drain_events(timeout=20)
    assert user_of(again) == user_of(told)
    assert [(says_hello(client, its), logs_in(its)) for its in (told, again)] == [(401, False), (200, True)]


def test_a_node_whose_user_rabbitmq_has_lost_gets_in_again_and_one_that_was_revoked_does_not(
    app: Flask, told: dict[str, str], api: str
) -> None:
    users = BrokerUsers.of(parts(app).config)
    assert users
    for again in ([NAME], []):
        requests.delete(f"{api}users/{user_of(told)}", timeout=10)
        assert not logs_in(told)
        with app.app_context():
            assert make_again(users) == again
            assert make_again(users) == []
        assert logs_in(told) is bool(again)
        assert run(app, "revoke", NAME).exit_code == 0


def test_a_revoked_node_is_known_by_nobody_and_may_be_enrolled_again(
    app: Flask, client: Client, told: dict[str, str]
) -> None:
    assert run(app, "revoke", NAME).exit_code == 0
    assert (says_hello(client, told), logs_in(told)) == (401, False)
    again = enrolled(app)
    assert (says_hello(client, again), logs_in(again)) == (200, True)


def test_over_rest_the_same_is_done_once_however_often_it_is_asked_for(
    app: Flask, client: Client, told: dict[str, str], operator: dict[str, str], owner: dict[str, str]
) -> None:
    answers = [revoked(client, operator) for _ in range(2)]
    assert [it.status_code for it in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    assert (says_hello(client, told), logs_in(told)) == (401, False)
    (shown,) = [it for it in client.get(NODE_API, headers=owner).json if it["name"] == NAME]
    assert shown["revoked_at"]
    assert answers[0].json == shown | {"left_to_do": []}
    assert rows(app, "SELECT object, actor FROM audit WHERE action = 'node.revoked'") == [(NAME, "operator admin")]


def test_a_node_that_there_is_not_is_not_revoked(client: Client, operator: dict[str, str]) -> None:
    answer = revoked(client, operator, "nobody")
    assert (answer.status_code, answer.json["detail"]) == (404, "There is no node 'nobody'.")


@pytest.mark.parametrize("how", ["by command", "over REST"])
def test_what_a_revoked_node_still_reports_is_history(
    app: Flask, client: Client, owner: dict[str, str], operator: dict[str, str], played: PlayedNode,
    template: Template, how: str,
) -> None:  # fmt: skip
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    played.claim(run_id)
    model = played.upload(run_id, "model", MODEL)
    if how == "by command":
        assert run(app, "revoke", "node").exit_code == 0
    else:
        assert revoked(client, operator, "node").status_code == 200
    assert client.get(f"{URL}/{run_id}", headers=owner).json["state"] == "SUBMITTED"
    played.say(run_id, metric(1_000, 0.5))
    played.hand_in(run_id, model)
    played.finish(run_id)
    other = PlayedNode(app, bearer(template.other_node))
    other.train(run_id, 2)
    assert client.get(f"{URL}/{run_id}", headers=owner).json["state"] == "SUCCEEDED"
    assert rows(app, "SELECT number, kind, cause FROM attempts ORDER BY number") == [
        (1, "lost", "Its node node was revoked."), (2, "succeeded", "It succeeded.")]  # fmt: skip
    assert played.claim(run_id).status_code == 401


def test_without_an_api_the_commands_to_run_are_printed(app: Flask, client: Client, operator: dict[str, str]) -> None:
    """That they do what they should, tests/faults/test_enrolment_by_hand.py shows."""
    its = parts(app)
    replace(its, config=replace(its.config, broker_api="")).install(app)
    first = run(app, "enroll", NAME)
    login = Connection(decode(first.stdout.split()[-1])["BROKER_URL"])
    user, commands = login.userid, first.stderr.splitlines()[1:]
    said = f"echo {login.password} | rabbitmqctl"
    assert commands[0] == f"{said} add_user {user} || {said} change_password {user}"
    assert [shlex.split(line)[1] for line in commands[1:]] == [
        "set_permissions", *["set_topic_permissions"] * 2, "set_user_limits", "close_all_user_connections"]  # fmt: skip
    left_to_do = run(app, "revoke", NAME).stderr.splitlines()
    assert left_to_do[0] == BY_HAND
    assert f"rabbitmqctl delete_user {user}" in left_to_do
    assert revoked(client, operator).json["left_to_do"] == left_to_do


def test_a_node_of_this_machine_gets_its_settings_as_a_file_for_its_eyes_alone(
    app: Flask, api: str, tmp_path: Path
) -> None:
    file = tmp_path / "node.env"
    done = run(app, "enroll", NAME, "--to", str(file))
    assert (done.exit_code, done.stdout) == (0, "")
    assert file.stat().st_mode & 0o777 == 0o600
    assert read(file)["NODE_NAME"] == NAME
    requests.delete(f"{api}users/{user_of(read(file))}", timeout=10)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\nb", "../x", "a%h", "$(id)", "é", "n" * 64])
def test_a_name_that_would_not_do_is_refused_with_a_sentence(app: Flask, name: str) -> None:
    done = run(app, "enroll", "--", name)
    assert done.exit_code == 1
    assert "A node's name is up to 63 letters, digits and ._+()-" in done.output


def test_an_api_that_refuses_leaves_everything_as_it_was(app: Flask, client: Client, told: dict[str, str]) -> None:
    its = parts(app)
    refusing = "http://nobody:x@" + its.config.broker_api.partition("@")[2]
    replace(its, config=replace(its.config, broker_api=refusing)).install(app)
    done = run(app, "enroll", NAME)
    assert done.exit_code == 1
    assert "RabbitMQ's management API refuses PUT /users/" in done.output
    replace(parts(app), config=its.config).install(app)
    wait_until(lambda: says_hello(client, told) == 200, 5, "the old token to be good")
    assert logs_in(told)


def test_a_node_is_revoked_for_everybody_else_also_while_rabbitmq_refuses_and_then_once_more(
    app: Flask, client: Client, told: dict[str, str], operator: dict[str, str]
) -> None:
    its = parts(app)
    refusing = "http://nobody:x@" + its.config.broker_api.partition("@")[2]
    replace(its, config=replace(its.config, broker_api=refusing)).install(app)
    done = run(app, "revoke", NAME)
    assert done.exit_code == 1
    refused = revoked(client, operator)
    assert refused.status_code == 503
    for said in (done.output, refused.json["detail"]):
        assert "RabbitMQ's management API refuses DELETE /users/" in said
    assert (says_hello(client, told), logs_in(told)) == (401, True)
    replace(parts(app), config=its.config).install(app)
    for _ in range(2):
        assert run(app, "revoke", NAME).exit_code == 0
        assert not logs_in(told)


def test_of_a_node_that_had_no_broker_user_one_is_told_that_it_still_gets_in_there(app: Flask) -> None:
    """As those of the time before each node had one."""
    done = run(app, "revoke", "node")
    assert (done.exit_code, "It had no RabbitMQ user of its own" in done.stderr) == (0, True)
