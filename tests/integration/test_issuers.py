"""A real web that trusts outside issuers: sockets that end with their token, and keys that do not come."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from flask import Flask

from coordinator.accounts import installation, tokens, users
from coordinator.accounts.issuers.identity import EXPIRED
from coordinator.accounts.issuers.keys import AWAY, WAIT_SECONDS
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import submit
from tests.integration.live import connect, connected, farewell
from tests.issuer import SECRET, SETTINGS, KeyServer, claims, key_server, rsa, session, signed
from tests.jobs import bearer

REFUSED, COME_AGAIN, SOON = 1008, 1013, 5.0
ME = "/api/v1/me"


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyServer]:
    with key_server(rsa()) as server:
        yield server


@pytest.fixture(scope="module")
def web(
    stack: Stack, platform: Platform, keys: KeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """A second web of the platform, of one process. The host of the issuer's keys says nothing until a test lets it."""
    keys.gate.clear()
    settings = {"AUTH_JWKS_URL": keys.url, "NEXTAUTH_SECRET": SECRET, "WEB_WORKERS": "1", "LOG_LEVEL": "WARNING",
                "HELLO_SECONDS": "2", **{name.upper(): value for name, value in SETTINGS.items()}}  # fmt: skip
    made = Platform(stack, tmp_path_factory.mktemp("issuers"), settings)
    made.folder.mkdir(exist_ok=True)
    made.start("web")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def app(web: Platform) -> Iterator[Flask]:
    made = create_app(Config.from_environment(web.env))
    yield made
    with made.app_context():
        db.engine.dispose()


def get(web: Platform, path: str, token: str = "") -> requests.Response:
    return requests.get(web.url + path, headers=bearer(token) if token else {}, timeout=30)


def test_keys_that_do_not_come_hold_nobody_else_up(web: Platform, app: Flask, keys: KeyServer) -> None:
    """First of all, while no key is known."""
    bystander = local(app, "bystander")
    told: list[requests.Response] = []
    waiting = [threading.Thread(target=lambda: told.append(get(web, ME, signed()))) for _ in range(8)]
    began = time.monotonic()
    for thread in waiting:
        thread.start()
    wait_until(lambda: keys.paths, 10, "a request for the keys")
    assert get(web, "/livez").status_code == 200
    assert get(web, ME, bystander).status_code == 200
    for thread in waiting:
        thread.join()
    assert time.monotonic() - began < WAIT_SECONDS + 5
    assert {(it.status_code, it.json()["detail"], it.headers["Retry-After"]) for it in told} == {(503, AWAY, "2")}
    socket = connect(web, signed())
    socket.send(json.dumps({"run_id": "5667524a-ab1d-42e8-b5bd-e692755d03b0"}))
    (message,), code = farewell(socket)
    assert (message["detail"], code) == (AWAY, COME_AGAIN)
    keys.gate.set()
    wait_until(lambda: get(web, ME, signed()).status_code == 200, 15, "the keys")
    assert "Traceback" not in web.log("web")


def test_no_socket_outlives_an_issuers_token(web: Platform, keys: KeyServer) -> None:
    """By whichever way the token came: all at once, as each lasts for seconds."""
    keys.gate.set()
    by_key, by_session = claims("leaver"), claims("leaver", iss=None, aud=None)
    both = [(make, its, str(submit(web.url, make(its))["run_id"])) for make, its in (
        (signed, by_key), (session, by_session))]  # fmt: skip
    ends, sockets = datetime.now(UTC) + timedelta(seconds=5), []
    for make, its, run_id in both:
        token = make(its | {"exp": ends.timestamp()})
        sockets += [connected(web, token, run_id, how) for how in ("header", "hello", "subprotocol", "ticket")]
    for socket in sockets:
        (message,), code = farewell(socket)
        assert (message["msg_id"], message["detail"], code) == (10, EXPIRED, REFUSED)
        assert timedelta() <= datetime.now(UTC) - ends < timedelta(seconds=SOON)


def test_a_strangers_run_is_not_shown(web: Platform, keys: KeyServer) -> None:
    keys.gate.set()
    run_id = str(submit(web.url, signed(claims("somebody")))["run_id"])
    socket = connect(web, signed(claims("somebody else")))
    socket.send(json.dumps({"run_id": run_id}))
    (message,), code = farewell(socket)
    assert (message["detail"], code) == (f"There is no run {run_id} among your jobs.", REFUSED)


def test_disabling_a_user_ends_his_sockets(web: Platform, app: Flask, keys: KeyServer) -> None:
    keys.gate.set()
    both = (signed(claims("to be disabled", name="outsider")), local(app, "insider"))
    sockets = [connected(web, token, str(submit(web.url, token)["run_id"]), "header") for token in both]
    with app.app_context():
        for name in ("outsider", "insider"):
            installation.change(users.named(name), is_disabled=True)
    began = time.monotonic()
    for socket in sockets:
        (message,), code = farewell(socket)
        assert (message["detail"], code) == (tokens.DISABLED, REFUSED)
    assert time.monotonic() - began < SOON


def local(app: Flask, name: str) -> str:
    """A token of a user whom this installation has made."""
    with app.app_context():
        return tokens.create_for_user(name)
