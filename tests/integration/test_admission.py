"""The WebSocket's door: the ways in which a token may come, what a ticket opens, and when somebody has to leave."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

import pytest
import requests
import websocket
from flask import Flask

from coordinator.accounts import credentials, teams, tickets, tokens, users
from coordinator.api.admission import GUESTS_WATCH
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.parts import parts
from coordinator.permissions import Role
from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import submit
from tests.integration.live import connect, connected, farewell, new_run
from tests.jobs import URL, bearer, body
from tests.people import id_of
from tests.stub_node import StubNode

REFUSED, SOON = 1008, 5.0
"""The close code, and within how many seconds a socket ends after its token was revoked."""
NO_TICKET = "This ticket is not known here, was used before, has expired, or is for another run."
ORIGINS = ["https://evil.example.com", "null", "http://127.0.0.1:1", "http://localhost", "", "x"]
NO_TOKENS = [["bearer", "wrong"], ["bearer"], ["chat", "bearer"], ["bearer", "a", "b"]]
OVER_REST = ["GET ", "POST ", "GET /{run}", "DELETE /{run}", "POST /{run}/cancel", "POST /{run}/ticket",
             "GET /{run}/logs", "GET /{run}/files", "GET /{run}/models", "GET /{run}/nn-model?version=1"]  # fmt: skip


@pytest.fixture(scope="module")
def run_id(platform: Platform) -> str:
    """A run that waits for a node."""
    return new_run(platform)


@pytest.fixture(scope="module")
def app(platform: Platform) -> Iterator[Flask]:
    """What the operator's commands work with, over the platform's database."""
    made = create_app(Config.from_environment(platform.env))
    yield made
    with made.app_context():
        db.engine.dispose()


@pytest.fixture(scope="module")
def open_web(stack: Stack, platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A second web, whose operator serves old games and the pages of one origin."""
    settings = {"SERVE_GAMES_WITHOUT_TOKEN": "1", "WEB_WORKERS": "1", "LOG_LEVEL": "WARNING",
                "ALLOWED_ORIGINS": "https://play.example.com, https://b.example.com/"}  # fmt: skip
    made = Platform(stack, tmp_path_factory.mktemp("open"), settings)
    made.folder.mkdir(exist_ok=True)
    made.start("web")
    yield made
    made.stop()


def ticket(platform: Platform, run_id: str) -> dict[str, Any]:
    answer = requests.post(f"{platform.url}{URL}/{run_id}/ticket", headers=bearer(platform.token), timeout=30)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def hello(socket: Any, run_id: str, **more: Any) -> dict[str, Any]:
    """The first message after it."""
    socket.send(json.dumps({"run_id": run_id} | more))
    message: dict[str, Any] = json.loads(socket.recv())
    return message


def is_shown(first: dict[str, Any], run_id: str) -> bool:
    return (first["msg_id"], first.get("run_id")) == (2, run_id)


def refusal(socket: Any, run_id: str, **more: Any) -> str:
    """The sentence before the close with 1008."""
    first = hello(socket, run_id, **more)
    assert first["msg_id"] == 10, first
    assert farewell(socket) == ([], REFUSED)
    return str(first["detail"])


def test_a_token_may_come_as_a_subprotocol(platform: Platform, run_id: str) -> None:
    socket = connect(platform, subprotocols=["bearer", platform.token])
    assert socket.subprotocol == "bearer"
    assert is_shown(hello(socket, run_id), run_id)
    socket.close()


@pytest.mark.parametrize(
    "offered", [["bearer", "wrong"], ["bearer"], ["chat", "bearer"], ["bearer", "a", "b"]], ids=str
)
def test_a_subprotocol_without_a_good_token_opens_nothing(platform: Platform, run_id: str, offered: list[str]) -> None:
    assert "token" in refusal(connect(platform, subprotocols=offered), run_id)


def test_a_ticket_opens_one_socket(platform: Platform, run_id: str) -> None:
    made = ticket(platform, run_id)
    assert made["expires_in"] == 30
    socket = connect(platform)
    assert is_shown(hello(socket, run_id, ticket=made["ticket"]), run_id)
    socket.close()
    assert refusal(connect(platform), run_id, ticket=made["ticket"]).startswith(
        "This ticket is not known here, was used"
    )


def test_a_ticket_is_for_one_run(platform: Platform, run_id: str) -> None:
    other, made = new_run(platform), ticket(platform, run_id)["ticket"]
    assert refusal(connect(platform), other, ticket=made).startswith(NO_TICKET)
    assert refusal(connect(platform), run_id, ticket=made).startswith(
        "This ticket is not known here"
    )  # used up by that


def test_a_ticket_that_has_expired_opens_nothing(platform: Platform, app: Flask, run_id: str) -> None:
    made = ticket(platform, run_id)["ticket"]
    with app.app_context():
        db.session.execute(db.text("UPDATE tickets SET expires_at = now()"))
        db.session.commit()
    assert refusal(connect(platform), run_id, ticket=made).startswith(NO_TICKET)


def test_a_strangers_run_has_no_ticket(platform: Platform, app: Flask, run_id: str) -> None:
    with app.app_context():
        stranger = tokens.create_for_user("a stranger")
    answer = requests.post(f"{platform.url}{URL}/{run_id}/ticket", headers=bearer(stranger), timeout=30)
    assert answer.status_code == 404


@pytest.mark.parametrize("how", ["header", "hello", "subprotocol", "ticket"])
def test_a_revoked_token_ends_its_sockets(platform: Platform, app: Flask, how: str) -> None:
    with app.app_context():
        token = tokens.create_for_user("leaver", name=how)
    run_id = submitted(platform, token)
    socket = connected(platform, token, run_id, how)
    began = time.monotonic()
    with app.app_context():
        credentials.revoke(id_of(token))
    (message,), code = farewell(socket)
    assert (message["msg_id"], message["detail"], code) == (10, tokens.WRONG_TOKEN, REFUSED)
    assert time.monotonic() - began < SOON


def test_a_socket_does_not_outlive_its_token(platform: Platform, app: Flask) -> None:
    with app.app_context():
        ends = datetime.now(UTC) + timedelta(seconds=4)
        token = tokens.create_for_user("leaver", expires_at=ends)
    (message,), code = farewell(connected(platform, token, submitted(platform, token), "header"))
    assert (message["detail"], code) == (tokens.EXPIRED, REFUSED)
    assert timedelta() <= datetime.now(UTC) - ends < timedelta(seconds=SOON)


def test_a_revoked_token_ends_the_model_in_its_middle(platform: Platform, app: Flask, stub_node: StubNode) -> None:
    """Its game reads slowly, but reads: nothing else would end it."""
    run_id, model = new_run(platform), bytes(range(256)) * 80_000
    stub_node.train(run_id, model=model)
    with app.app_context():
        token = tokens.create_for_user("player", name="slow")
    socket = connected(platform, token, run_id, "header", sockopt=[(SOL_SOCKET, SO_RCVBUF, 65_536)])
    with app.app_context():
        credentials.revoke(id_of(token))
    came, last = 0, b""
    while piece := socket.sock.recv(65_536):
        came, last = came + len(piece), (last + piece)[-200:]
        time.sleep(0.05)  # as a slow line would
    assert came < len(model)
    assert REFUSED.to_bytes(2, "big") + tokens.WRONG_TOKEN[:120].encode() in last


def test_who_leaves_the_team_leaves_its_sockets(platform: Platform, app: Flask) -> None:
    with app.app_context():
        owner, member = users.made("head of lab"), users.made("guest of lab")
        lab = teams.created("lab", owner)
        teams.put(lab.id, member, Role.VIEWER)
        lab_id, his = lab.id, tokens.create_for_user("guest of lab", lab)
        run_id = submitted(platform, tokens.create_for_user("head of lab", lab))
    socket, began = connected(platform, his, run_id, "header"), time.monotonic()
    with app.app_context():
        teams.remove(lab_id, users.named("guest of lab"))
    assert farewell(socket)[1] == REFUSED
    assert time.monotonic() - began < SOON


def test_the_others_stay(platform: Platform, app: Flask, stub_node: StubNode) -> None:
    """Revoking one token of a user ends that one's sockets only."""
    with app.app_context():
        token = tokens.create_for_user("player", name="to be revoked")
    run_id = new_run(platform)
    gone, stays = connected(platform, token, run_id, "header"), connected(platform, platform.token, run_id, "header")
    with app.app_context():
        credentials.revoke(id_of(token))
    assert farewell(gone)[1] == REFUSED
    stub_node.train(run_id)
    texts, binary, code = until_closed(stays)
    assert (texts[-1]["status"], binary, code) == ("SUCCEEDED", 1, 1000)


def until_closed(socket: Any) -> tuple[list[dict[str, Any]], int, int]:
    """The texts, how many binary messages, and the close code."""
    texts, binary = list[dict[str, Any]](), 0
    while True:
        kind, data = socket.recv_data()
        if kind == websocket.ABNF.OPCODE_CLOSE:
            return texts, binary, int.from_bytes(data[:2], "big")
        if kind == websocket.ABNF.OPCODE_BINARY:
            binary += 1
        else:
            texts.append(json.loads(data))


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_web_page_of_somewhere_else_opens_nothing(platform: Platform, origin: str) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        connect(platform, platform.token, origin=origin or " ")
    assert caught.value.status_code == 403
    assert json.loads(caught.value.resp_body)["code"] == "not_allowed"


def test_pages_of_the_apis_own_host_and_games_that_are_no_pages_are_let_in(platform: Platform, run_id: str) -> None:
    for options in ({"origin": platform.url}, {"suppress_origin": True}):
        socket = connect(platform, platform.token, **options)
        assert is_shown(hello(socket, run_id), run_id)
        socket.close()


def test_the_operator_says_which_pages_are_let_in(open_web: Platform, platform: Platform, run_id: str) -> None:
    for origin in ("https://play.example.com", "https://b.example.com"):
        socket = connect(open_web, platform.token, origin=origin)
        assert is_shown(hello(socket, run_id), run_id)
        socket.close()
    for origin in (open_web.url, "https://play.example.com.evil.com", "http://play.example.com"):
        with pytest.raises(websocket.WebSocketBadStatusException):
            connect(open_web, platform.token, origin=origin)


def test_old_games_may_watch_where_they_are_served(open_web: Platform, run_id: str) -> None:
    socket = connect(open_web, suppress_origin=True)
    assert is_shown(hello(socket, run_id), run_id)
    socket.close()


@pytest.mark.parametrize("more", [{"logs": True}, {"episode": 1}, {"token": "wrong"}, {"ticket": "wrong"}], ids=str)
def test_and_nothing_else(open_web: Platform, run_id: str, more: dict[str, Any]) -> None:
    detail = refusal(connect(open_web, suppress_origin=True), run_id, **more)
    assert detail in (GUESTS_WATCH, tokens.WRONG_TOKEN, tickets.WRONG)


@pytest.mark.parametrize("call", OVER_REST)
def test_nor_over_rest(open_web: Platform, run_id: str, call: str) -> None:
    method, _, path = call.format(run=run_id).partition(" ")
    assert requests.request(method, open_web.url + URL + path, timeout=30).status_code == 401


def test_what_the_operator_has_opened_is_told_at_start(open_web: Platform, platform: Platform) -> None:
    told = "SERVE_GAMES_WITHOUT_TOKEN is on: whoever knows a run_id can watch that run"
    assert told in open_web.log("web")
    assert told not in platform.log("web")


def submitted(platform: Platform, token: str) -> str:
    """A run of that token's user."""
    return str(submit(platform.url, token)["run_id"])


def test_who_has_too_many_sockets_is_told_to_come_back_when_one_is_closed(platform: Platform, app: Flask) -> None:
    with app.app_context():
        token = tokens.create_for_user("crowd")
        parts(app).limits.put("sockets", 2, users.named("crowd"))
    run = str(requests.post(platform.url + URL, json=body(), headers=bearer(token), timeout=30).json()["run_id"])
    first, second, third = (connect(platform, token) for _ in range(3))
    assert is_shown(hello(first, run), run)
    assert is_shown(hello(second, run), run)
    refused = hello(third, run)
    assert (refused["msg_id"], refused["code"]) == (10, "limit_reached")
    assert refused["detail"].startswith("User 'crowd' has 2 WebSockets here, and may have 2.")
    assert farewell(third) == ([], 1013)
    used = requests.get(f"{platform.url}/api/v1/limits", headers=bearer(token), timeout=30).json()
    assert [it["used"] for it in used if (it["name"], it["of"]) == ("sockets", "user")] == [2]
    second.close()
    wait_until(lambda: is_shown(hello(connect(platform, token), run), run), 10, "a place for another socket")
    first.close()
