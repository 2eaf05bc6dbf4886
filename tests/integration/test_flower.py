"""Flower shows nodes and trainings to whoever logs in, and to nobody else anything; it changes nothing."""

import json
import re
import subprocess
import time
from typing import Any
from urllib.parse import quote, urlsplit

import amqp
import pytest
import requests
from flower.urls import handlers  # type: ignore[import-untyped]
from kombu import Connection
from tornado.web import URLSpec

from services.platform import ROOT, Platform, wait_until
from wire import names

PATTERNS = [its.regex.pattern if isinstance(its, URLSpec) else its[0] for its in handlers]
PATHS = ["/" + re.sub(r"\(?\.[+*]\)?", "results@x", pattern).strip("/$?") for pattern in PATTERNS]
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
PAGES = ("/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck", "/api/workers?refresh=1", "/api/tasks",
         "/api/queues/length", "/static/js/flower.js")  # fmt: skip
CHANGES = [path for path in PATHS if re.match("/api/(worker/|task/(apply|async|send|abort|timeout|rate|revoke))", path)]


class Pages:
    """A running Flower."""

    def __init__(self, platform: Platform) -> None:
        self._url = f"http://127.0.0.1:{platform.env['FLOWER_PORT']}"
        user, _, password = platform.env["FLOWER_BASIC_AUTH"].partition(":")
        self.login = (user, password)

    def ask(self, method: str, path: str, login: tuple[str, str] | None = None, **its: object) -> requests.Response:
        return requests.request(method, self._url + path, auth=login, timeout=30, allow_redirects=False, **its)  # type: ignore[arg-type]

    def is_there(self) -> bool:
        try:
            return self.ask("GET", "/healthcheck", self.login).ok
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def flower(platform: Platform) -> Pages:
    platform.start("flower")
    pages = Pages(platform)
    wait_until(pages.is_there, 60, "Flower to answer")
    workers = "/api/workers?refresh=1"
    wait_until(lambda: "results@" in pages.ask("GET", workers, pages.login).text, 60, "Flower to know the worker")
    return pages


@pytest.mark.parametrize("path", [*PATHS, *PAGES])
def test_nothing_is_shown_without_a_login(flower: Pages, path: str) -> None:
    user, password = flower.login
    for login in (None, (user, "wrong"), (user, ""), ("", password), (user, password + "x")):
        answers = [flower.ask(method, path, login) for method in (METHODS if login is None else ("GET", "POST"))]
        assert {answer.status_code for answer in answers} == {401}
        assert {answer.text for answer in answers} <= {"Log in as FLOWER_BASIC_AUTH says.\n", ""}


@pytest.mark.parametrize(
    "authorization", ["Basic", "Basic !", "Basic w6k=", "Bearer {}", "basic  ", "{}", "Basic \xe9"]
)
def test_a_login_that_is_none_is_refused(flower: Pages, authorization: str) -> None:
    said = authorization.format(flower.login[1]).encode("latin-1")
    assert flower.ask("GET", "/", headers={"Authorization": said}).status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_shown_to_whoever_logs_in(flower: Pages, path: str) -> None:
    assert flower.ask("GET", path, flower.login).status_code == 200


def test_the_rows_of_the_tasks_page_come(flower: Pages) -> None:
    form = {"draw": "1", "start": "0", "length": "10", "search[value]": "", "order[0][column]": "0",
            "columns[0][data]": "name", "order[0][dir]": "asc"}  # fmt: skip
    assert flower.ask("POST", "/tasks/datatable", flower.login, data=form).json()["draw"] == 1


BAD: list[dict[str, Any]] = [
    {"uuid": {}, "hostname": []}, {"uuid": None, "hostname": None}, {"type": 5}, {"timestamp": "x"},
    {"timestamp": 1e300}, {"timestamp": float("nan")}, {"clock": "x"}, {"name": "no.such.task"}, {"name": ["x"]},
    {"active": {}, "processed": []}, {"loadavg": "x"}, {"loadavg": [{}]}, {"hostname": "x" * 50_000},
    {"args": "x" * 100_000}, {"args": {"x": 1}}, {"runtime": "x"}, {"freq": 2**80}, {"retries": "<b>"},
]  # fmt: skip


def test_what_a_node_makes_up_breaks_no_page_and_ends_no_listening(flower: Pages, platform: Platform) -> None:
    its = Connection(platform.enroll("attacker")["BROKER_URL"])
    kinds = ["task-received", "task-succeeded", "task-made-up", "worker-heartbeat", "worker-offline"]
    (worker,) = flower.ask("GET", "/api/workers", flower.login).json()
    good = {"uuid": "made-up", "hostname": worker, "timestamp": time.time(), "utcoffset": 0, "clock": 1, "pid": 1,
            "name": names.TASK_TRAIN}  # fmt: skip
    said = [json.dumps(good | {"type": kind} | bad).encode() for bad in BAD for kind in kinds]
    with amqp.Connection(its.host, its.userid, its.password, virtual_host=its.virtual_host) as connection:
        channel = connection.channel()
        last = json.dumps(good | {"type": "task-received", "uuid": "the-last"}).encode()
        for body in [b"nonsense", b"[" * 100_000, b"[1, [2]]", b"5", b"{}", *said, last]:
            channel.basic_publish(amqp.Message(body, content_type="application/json"), names.EVENT_EXCHANGE, "task.x")
    wait_until(lambda: "the-last" in flower.ask("GET", "/api/tasks", flower.login).text, 30, "the last event")
    assert {flower.ask("GET", page, flower.login).status_code for page in PAGES} == {200}
    assert "Failed to capture events" not in platform.log("flower")
    assert "made-up" not in flower.ask("GET", "/api/tasks", flower.login).json()


def test_nothing_can_be_changed(flower: Pages, platform: Platform) -> None:
    (worker,) = flower.ask("GET", "/api/workers", flower.login).json()
    assert len(CHANGES) == 14
    for path in CHANGES:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = flower.ask(method, path.replace("results@x", quote(worker)), flower.login, json={"args": []})
            assert (answer.status_code, "FLOWER_READ_ONLY=0" in answer.text) == (403, True), path
    assert [path for path in CHANGES if flower.ask("GET", path, flower.login).status_code == 200] == []
    assert platform.process("results").running


def test_no_password_is_shown(flower: Pages, platform: Platform) -> None:
    secrets = [
        urlsplit(platform.env[name]).password or "" for name in ("BROKER_URL", "DATABASE_URL", "FLOWER_BROKER_API")
    ]
    secrets += [platform.env["S3_SECRET_ACCESS_KEY"], flower.login[1], platform.node_token, platform.token]
    (worker,) = flower.ask("GET", "/api/workers?refresh=1", flower.login).json()
    for path in (*PAGES, f"/worker/{quote(worker)}"):
        shown = flower.ask("GET", path, flower.login).text
        assert [secret for secret in secrets if secret in shown] == [], path


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/js/flower.js", "/metrics"])
def test_every_answer_says_how_a_browser_may_use_it(flower: Pages, path: str) -> None:
    for login in (None, flower.login):
        headers = flower.ask("GET", path, login).headers
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
        assert "Server" not in headers


def test_it_does_not_start_without_a_login(platform: Platform) -> None:
    environ = platform.env | {"FLOWER_BASIC_AUTH": ""}
    done = subprocess.run(
        ["sh", "-c", "exec flask --app wsgi flower"], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, "FLOWER_BASIC_AUTH" in done.stderr) == (1, True)
