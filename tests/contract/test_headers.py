"""What answers say to browsers, and to which pages; and that the Host a client sends decides nothing."""

from collections.abc import Iterator

import pytest
import requests
from flask.testing import FlaskClient

from coordinator.accounts import tokens
from services.platform import Platform
from services.stack import Stack
from tests.conftest import config_of, running
from tests.databases import Databases
from tests.jobs import bearer

PLAY = "https://play.example.com"
NOWHERE = "00000000-0000-0000-0000-000000000000"
LIST = "/api/v1/train-jobs"


@pytest.fixture(scope="module")
def open_client(stack: Stack, databases: Databases) -> Iterator[FlaskClient]:
    """Of a web behind a proxy, for the pages of one origin."""
    settings = {"allowed_origins": f"{PLAY}, https://other.example", "public_url": "https://train.example.com",
                "trusted_proxies": "127.0.0.1"}  # fmt: skip
    with databases.lent() as name, running(config_of(stack, name, **settings)) as app:
        yield app.test_client()


@pytest.fixture(scope="module")
def named_client(stack: Stack, databases: Databases) -> Iterator[FlaskClient]:
    """Of a web that knows its name, and no origin beside."""
    with (
        databases.lent() as name,
        running(config_of(stack, name, public_url="https://a.example")) as app,
    ):
        yield app.test_client()


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", LIST, 200), ("GET", f"{LIST}/{NOWHERE}", 404), ("GET", "/nowhere", 404), ("PUT", LIST, 405),
    ("POST", LIST, 422), ("GET", "/livez", 200), ("GET", "/api/v1/me", 200), ("OPTIONS", LIST, 200),
    ("GET", f"{LIST}/{NOWHERE}/nn-model", 404),
])  # fmt: skip
def test_every_answer_is_for_its_reader_alone(
    shared_client: FlaskClient, owner: dict[str, str], method: str, path: str, status: int
) -> None:
    answer = shared_client.open(path, method=method, headers=owner)
    assert answer.status_code == status
    its = answer.headers
    assert (its["X-Content-Type-Options"], its["X-Frame-Options"], its["Referrer-Policy"]) == (
        "nosniff",
        "DENY",
        "no-referrer",
    )
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= {*its["Content-Security-Policy"].split("; ")}
    assert its["Cache-Control"] in ("no-store", "private, no-cache")
    assert "Strict-Transport-Security" not in its
    assert [name for name in its.keys() if name.startswith("Access-Control")] == []  # noqa: SIM118


def test_a_real_server_says_the_same_and_not_which_version_it_is(platform: Platform) -> None:
    for path, status in ((LIST, 401), ("/nowhere", 404), ("/livez", 200)):
        answer = requests.get(platform.url + path, timeout=10)
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (status, "nosniff")
        assert answer.headers["Server"] == "gunicorn"
        assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache" if status == 200 else "")


def test_a_client_cannot_say_which_path_it_asks_for_beside_its_path(platform: Platform) -> None:
    for name in ("PATH_INFO", "SCRIPT_NAME", "X-Original-URL", "X-Rewrite-URL"):
        assert requests.get(f"{platform.url}/nowhere", headers={name: "/livez"}, timeout=10).status_code == 404


def test_with_tls_browsers_are_told_to_use_nothing_else(open_client: FlaskClient) -> None:
    assert open_client.get("/livez").headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_page_of_a_named_origin_may_read_answers(open_client: FlaskClient, owner: dict[str, str]) -> None:
    answer = open_client.get(LIST, headers=owner | {"Origin": PLAY})
    assert answer.headers["Access-Control-Allow-Origin"] == PLAY
    assert {"ETag", "Link", "Retry-After"} <= {*answer.headers["Access-Control-Expose-Headers"].split(", ")}
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_it_may_also_read_why_it_was_refused(open_client: FlaskClient) -> None:
    answer = open_client.get(LIST, headers={"Origin": PLAY})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, PLAY)


def test_its_browser_may_ask_before(open_client: FlaskClient) -> None:
    asks = {"Origin": PLAY, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = open_client.options(LIST, headers=asks)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PLAY
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type", "Idempotency-Key"} <= {
        *answer.headers["Access-Control-Allow-Headers"].split(", ")
    }


@pytest.mark.parametrize("origin", [
    "https://evil.example", "http://play.example.com", f"{PLAY}.evil.example", f"{PLAY}:8443", "null", "*", "",
    "https://evilplay.example.com", f"{PLAY}, https://evil.example", "https://train.example.com",
])  # fmt: skip
def test_no_other_page_may(open_client: FlaskClient, owner: dict[str, str], origin: str) -> None:
    for answer in (
        open_client.get(LIST, headers=owner | {"Origin": origin}),
        open_client.options(LIST, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert [name for name in answer.headers.keys() if name.startswith("Access-Control")] == []  # noqa: SIM118
        assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("host", ["evil.example", "train.example.com.evil.example", "localhost"])
def test_the_host_that_a_client_sends_is_in_no_answer(
    open_client: FlaskClient, owner: dict[str, str], host: str
) -> None:
    for path in (LIST, f"{LIST}/{NOWHERE}", "/api/v1/me", "/api/v1/environments", "/api/v1/train-jobs/"):
        answer = open_client.get(path, headers=owner | {"Host": host, "X-Forwarded-Host": host})
        assert host not in answer.text + str(answer.headers)


@pytest.mark.parametrize(("origin", "host", "is_refused"), [
    ("https://a.example", "a.example", False),
    ("https://a.example", "web:8080", False),  # by a proxy that says another Host
    ("http://127.0.0.1:8080", "127.0.0.1:8080", False),
    ("http://evil.example", "evil.example", True),  # a name that was made to lead here
    ("http://localhost:8080", "evil.example", True),
])  # fmt: skip
def test_a_page_of_a_name_that_is_not_ours_opens_no_socket(
    named_client: FlaskClient, origin: str, host: str, is_refused: bool
) -> None:
    asked = {"Origin": origin, "Host": host, "Upgrade": "websocket", "Connection": "Upgrade"}
    answer = named_client.get("/ws/v1/client-stream", headers=asked)  # who is let in meets no socket in this client
    assert (answer.status_code == 403) is is_refused


def test_the_token_of_one_machine_is_good_neither_through_a_proxy_nor_with_its_marks(open_client: FlaskClient) -> None:
    with open_client.application.app_context():
        local = bearer(tokens.create_for_user("owner", is_local=True))
    for more in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}):
        assert open_client.get(LIST, headers=local | more).status_code == 401
    beside = {"REMOTE_ADDR": "127.0.0.2"}  # loopback, and no proxy's
    assert open_client.get(LIST, headers=local, environ_overrides=beside).status_code == 200
    assert open_client.get(LIST, headers=local | {"Via": "1.1 x"}, environ_overrides=beside).status_code == 401
