"""What the documents claim is so: states, endpoints, messages, commands, links, settings."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from coordinator import messages, retries, web_worker
from coordinator.api import answers, socket, views
from coordinator.api.auth import Owner
from coordinator.app import create_app
from coordinator.audit import Audited
from coordinator.config import Config
from coordinator.errors import CoordinatorError
from coordinator.lifecycle import TRANSITIONS, JobState
from node.config import Config as NodeConfig
from tests.deployment import sample_settings
from wire.codec import decode
from wire.settings import SETTINGS, WORKER_CONTROL
from wire.trainers import TRAINERS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text()
LIFECYCLE = (ROOT / "docs" / "lifecycle.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
SECRET = re.compile(r"(^|_)(SECRET|TOKEN|KEY|PASSWORD)(_|$)")
EVERYTHING = "\n".join(document.read_text() for document in DOCUMENTS)
RUN_ID = UUID("5667524a-ab1d-42e8-b5bd-e692755d03b0")


@pytest.fixture(scope="module")
def app() -> Flask:
    """The app as `flask --app wsgi` builds it; it connects to nothing."""
    return create_app(Config(database_url="postgresql://nobody@localhost/none", broker_url="amqp://localhost/none"))


def test_the_lifecycle_is_drawn_as_it_is_coded() -> None:
    drawn = re.findall(r"^    ([A-Z]+) --> ([A-Z]+): (\w+)$", LIFECYCLE, re.MULTILINE)
    coded = [(str(state), str(to), str(change)) for state, its in TRANSITIONS.items() for change, to in its.items()]
    assert sorted(drawn) == sorted(coded)


def test_every_state_is_explained_with_its_name_for_games() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \| .+\.? \| ([A-Z]+) \|$", LIFECYCLE, re.MULTILINE)
    assert dict(rows) == {str(state): state.for_games for state in JobState}


def test_what_is_started_again_is_told_as_it_is_coded() -> None:
    rows = re.findall(r"^\| ([a-z_]+) \| .+ \| (never|once, counted|counted|not counted) \|$", LIFECYCLE, re.MULTILINE)
    words = {retries.NEVER: "never", retries.Rule(1, True): "once, counted", retries.Rule(None, True): "counted",
             retries.Rule(None): "not counted"}  # fmt: skip
    assert rows == [(kind, words[rule]) for kind, rule in retries.RULES.items()]
    assert f"when {retries.LOST_IN_A_ROW} attempts in a row were lost" in LIFECYCLE


def test_every_endpoint_is_in_the_protocol_and_no_other(app: Flask) -> None:
    told = set(re.findall(r"^\| (GET|POST|PUT|DELETE) `(/\S+)`", PROTOCOL, re.MULTILINE))
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static" and not rule.websocket
    }
    sockets = {rule.rule for rule in app.url_map.iter_rules() if rule.websocket}
    assert told == served
    assert sockets == set(re.findall(r"^## WebSocket `(\S+)`$", PROTOCOL, re.MULTILINE))


def test_a_jobs_fields_are_those_of_the_protocol() -> None:
    table = PROTOCOL.split("\nTrainJob:\n\n")[1].split("\n\n")[0]
    told = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert told == {*views.job(_row(), Owner(uuid4(), "player", "studio"))}


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("STATUS", messages.status(RUN_ID, 1, 1, JobState.FAILED, "It failed.")),
        ("METRICS", messages.metrics(1, 1, {"behaviour": "B", "step": 1, "time_elapsed": 1.0, "mean_reward": 0.0,
                                            "std_reward": None})),
        ("ERROR", messages.error("No.", "not_found")),
        ("LOG", messages.log(1, 5, "trainer", "A line.\n")),
        ("SKIPPED", messages.skipped(3)),
        ("CHECKPOINT", messages.checkpoint(1, 1, 1)),
    ],
)  # fmt: skip
def test_a_messages_fields_are_those_of_the_protocol(name: str, frame: str | None) -> None:
    message = decode(frame or "")
    row = re.search(rf"^\| (\d+) \| {name} \| (.+) \|$", PROTOCOL, re.MULTILINE)
    assert row
    assert int(row[1]) == message.pop("msg_id")
    assert set(re.findall(r"`(\w+)`", row[2])) == {*message}


def test_the_codes_of_errors_are_those_of_the_protocol() -> None:
    told = {(int(status), code) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PROTOCOL, re.MULTILINE)}
    raised = {(kind.status, kind.code) for kind in _kinds(CoordinatorError)}
    refused = {(status, code) for status, code, _ in (web_worker.NO_REQUEST, *web_worker.REFUSALS.values())}
    elsewhere = {(400, "bad_handshake"), (500, "internal_error")}
    assert told == {its for its in raised if its[0] != 500} | {*answers.CODES.items()} | refused | elsewhere


def _kinds(of: type[CoordinatorError]) -> set[type[CoordinatorError]]:
    return {of}.union(*[_kinds(kind) for kind in of.__subclasses__()])


def test_every_action_of_the_audit_is_in_the_protocol_and_no_other() -> None:
    table = PROTOCOL.split("\n## Audit\n")[1].split("\n## ")[0].split("| of | actions |")[1]
    assert re.findall(r"`([\w.]+)`", table) == [*Audited]


def test_the_close_codes_are_those_of_the_protocol() -> None:
    told = {int(code) for code in re.findall(r"^\| (1\d\d\d) \|", PROTOCOL, re.MULTILINE)}
    assert told == {socket.NORMAL, socket.POLICY, socket.GOING_AWAY, socket.TRY_AGAIN}


def test_what_the_readme_calls_exists(app: Flask) -> None:
    paths = set(re.findall(r"(?:\$URL|GET )`?(/api/v1/[\w$/-]+)", README))
    assert len(paths) > 5
    for path in paths:
        _match(app, path.replace("$RUN", str(RUN_ID)))


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", EVERYTHING, re.MULTILINE))
    assert named
    assert named <= targets


def test_every_command_that_is_named_exists(app: Flask) -> None:
    named = re.findall(r"flask --app wsgi ([a-z-]+)(?: ([a-z]+))?", EVERYTHING)
    assert named
    for group, command in named:
        found: Any = app.cli.commands.get(group)
        assert found or group == "db", group
        assert not command or group == "db" or command in found.commands, command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    relative = [link for link in links if "://" not in link]
    assert [link for link in relative if not (document.parent / link).exists()] == []


def test_files_that_are_named_exist() -> None:
    named = set(
        re.findall(r"`((?:coordinator|node|wire|services|tests|docs|environments|migrations)/[\w./-]*)`", EVERYTHING)
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_promise_has_its_bounds_its_limits_and_its_tests() -> None:
    promises = re.split(r"^## (?=\d+\. )", RELIABILITY, flags=re.MULTILINE)[1:]
    assert [promise.partition(".")[0] for promise in promises] == [str(n) for n in range(1, len(promises) + 1)]
    for promise in promises:
        rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", promise.partition("\n## ")[0], re.MULTILINE))
        tests = re.findall(r"`(tests/\S+?\.py)`", rows["Shown by"])
        assert tests, promise
        assert [path for path in tests if "def test_" not in (ROOT / path).read_text()] == []


def test_every_setting_of_a_promise_exists() -> None:
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", RELIABILITY)) - {"ON_EPISODE_BEGIN"}
    assert named
    assert named <= set(re.findall(r"^#?([A-Z0-9_]+)=", (ROOT / "env.sample").read_text(), re.MULTILINE))


def test_every_secret_stands_in_the_table_of_the_rotation_which_leads_to_its_section() -> None:
    rows = re.findall(r"^\| (.+) \| \[.+\]\(#(.+)\) \|$", DEPLOY.split("\n## Rotation\n")[1], re.MULTILINE)
    told = set(re.findall(r"[A-Z][A-Z0-9_]+", " ".join(what for what, _ in rows)))
    settings = [its for config in (Config, NodeConfig) for its in fields(config) if its.type is str]
    secret = {its.name.upper() for its in settings
              if SECRET.search(its.name.upper()) or "password" in its.metadata["meaning"]}  # fmt: skip
    assert len(secret) > 10
    assert secret | {name for name in sample_settings() if name.endswith("_PASSWORD")} <= told
    titles = re.findall(r"^### (.+)$", DEPLOY, re.MULTILINE)
    assert {place for _, place in rows} <= {title.lower().replace("'", "").replace(" ", "-") for title in titles}


def test_every_shared_celery_setting_has_its_reason() -> None:
    told = (ROOT / "docs" / "adr" / "0002-celery-settings.md").read_text()
    names = {*SETTINGS, *WORKER_CONTROL, *SETTINGS["broker_transport_options"]}
    assert [name for name in names if f"`{name}`" not in told] == []


def test_the_trainers_table_is_called_as_the_guide_says() -> None:
    assert "`TRAINERS`" in (ROOT / "CONTRIBUTING.md").read_text()
    assert TRAINERS


def _match(app: Flask, path: str) -> None:
    for method in ("GET", "POST"):
        try:
            app.url_map.bind("localhost").match(path, method=method)
            return
        except (NotFound, MethodNotAllowed, RequestRedirect):
            continue
    pytest.fail(f"There is nothing at {path}.")


def _row() -> Any:
    values = dict.fromkeys(("agent_id", "env_id", "behaviour", "agent_config", "error", "mean_reward"), "")
    values |= dict.fromkeys(
        (
            "num_envs",
            "checkpoint_interval",
            "time_limit",
            "hyperparameters",
            "env_version",
            "initialize_from",
            "rerun_of",
            "comparison",
            "requires",
            "waiting_for",
        )
    )
    numbers = dict.fromkeys(("steps", "num_of_areas", "attempt", "seed", "steps_trained", "last_seq", "priority"), 1)
    return SimpleNamespace(
        run_id=RUN_ID, state="RUNNING", job_type="CREATE", created_at=datetime.now(UTC), cancel_requested_at=None,
        recording={},
        **values, **numbers,
    )  # fmt: skip
