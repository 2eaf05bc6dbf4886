"""Every text that a client or a node can say, in every place that takes one, as an attacker would say it.

The places are found in the routes' own descriptions: a new field is attacked without anybody writing a line. What is
let in is trained by a real node; afterwards nothing was run, written, fetched or named by any of it.

Each place gets a few of the texts, others than its neighbours; with EVERY_TEXT=1, as in `make faults`, all of them.
"""

import itertools
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from flask import Flask
from pydantic import TypeAdapter
from werkzeug.routing import Rule

from coordinator.api.described import Description, description_of
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.manifests import Manifest
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from services.platform import ROOT, wait_until
from services.stack import Stack
from tests.attacks.hostile import MARK, places, planted, some, texts
from tests.attacks.raw import CLOSE, ask, request
from tests.attacks.web import Web
from tests.brokers import virtual_host
from tests.corners import database_url
from tests.databases import Databases
from tests.jobs import URL
from tests.stub_platform import StubPlatform
from tests.stub_trainings import stub_body
from tests.studio import ENVIRONMENTS, Studio, asked, studio, upload
from wire.names import NODE_API

QUICK = {"rate": 1_000_000_000}
"""For the stub trainer: trains at once."""
SHARE = 1_000 if os.environ.get("EVERY_TEXT") else 4
UNLIMITED = ", ".join(f"{name}=0" for name in ("jobs_queued", "requests_per_minute", "environments", "versions"))


class Attacked:
    """A platform with a studio on it, a canary for commands and one for addresses."""

    def __init__(self, platform: StubPlatform, its: Studio, canary: Path, listener: socket.socket) -> None:
        self.platform, self.its, self.canary, self.listener = platform, its, canary, listener
        self.web = Web(platform)
        self.number, self.texts = itertools.count(), texts(canary, f"http://127.0.0.1:{listener.getsockname()[1]}")

    def share(self) -> list[str]:
        """What the next place gets."""
        return some(self.texts, next(self.number), SHARE)

    def sent(self, method: str, path: str, content: Any = None, who: str = "") -> None:
        """What is sent is refused with a sentence, or harmless."""
        who = who or ("node" if path.startswith(NODE_API + "/") else "operator" if "/users" in path else "owner")
        headers = self.its.people.headers(who)
        answer = self.web.open(path, method, json=content, headers=headers)
        about = f"{method} {path[:200]} {str(content)[:300]} → {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, about
        assert answer.status_code != 429, f"{about}: the limits of this platform hide what is attacked."
        assert "x-evil" not in answer.headers, about
        assert not [value for value in answer.headers.values() if MARK in value and "://" not in value], about
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/json", about
            assert answer.json["detail"].endswith("."), about
            assert len(answer.text) < 4_000, about


@pytest.fixture(scope="module")
def attacked(stack: Stack, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """Its own database and virtual host, for a node that takes whatever is there."""
    folder = tmp_path_factory.mktemp("attacked")
    with (
        databases.lent() as database,
        virtual_host(stack.env["BROKER_URL"], stack.env["FLOWER_BROKER_API"]) as vhost,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        settings = {"DATABASE_URL": database_url(stack, database), "BROKER_URL": vhost, "LIMITS_OF_USERS": UNLIMITED}
        with StubPlatform(stack, folder / "platform", settings, reach1d=QUICK) as platform:
            platform.start("web", "results", "recorder")
            with made_studio(platform) as its:
                yield Attacked(platform, its, folder / "canary", listener)


@contextmanager
def made_studio(platform: StubPlatform) -> Iterator[Studio]:
    app: Flask = create_app(Config.from_environment(platform.env))
    steps.connect(parts(app).storage, parts(app).publisher, parts(app).config)
    yield studio(app)
    reported.disconnect(dispatch_uid="pipeline")
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def routes(app: Flask) -> Iterator[tuple[str, Rule, Description]]:
    for rule in app.url_map.iter_rules():
        about = description_of(app.view_functions[rule.endpoint])
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if about and not rule.websocket:
                yield method, rule, about


def test_no_field_of_a_body_breaks_out(attacked: Attacked) -> None:
    count = 0
    for method, rule, about in routes(attacked.its.app):
        if about.body is None:
            continue
        schema, (path, base) = about.body.model_json_schema(), asked(attacked.its, method, rule.rule)
        for place in places(schema):
            for text in attacked.share():
                attacked.sent(method, path, planted(schema, base, place, text))
            count += 1
    assert count > 30  # the walk has found them


def test_no_field_of_a_manifest_breaks_out(attacked: Attacked) -> None:
    """What comes with an upload, and is later in a node's hands."""
    schema = Manifest.model_json_schema()
    base = {"executable": "a", "areas": {"min": 1, "max": 1}, "behaviours": {"A": {"steps": {"min": 1, "max": 9}}}}
    for place in places(schema):
        for text in attacked.share():
            manifest = planted(schema, base, place, text)
            attacked.sent("POST", ENVIRONMENTS, upload("attacked") | {"manifest": manifest})


def test_no_part_of_an_address_breaks_out(attacked: Attacked) -> None:
    for method, rule, about in routes(attacked.its.app):
        path = asked(attacked.its, method, rule.rule)[0].partition("?")[0]
        names = TypeAdapter(about.query).json_schema().get("properties", {}) if about.query else {}
        for text in attacked.share():
            word = quote(text.encode("utf-8", "surrogatepass"), safe="")
            for name in names:
                if len(word) < 3_000:
                    attacked.sent(method, f"{path}?{name}={word}")
            for part in re.findall(r"<[^>]+>", rule.rule):
                if len(word) < 3_000:
                    attacked.sent(method, _in_place_of(part, rule.rule, path, word), {})


def _in_place_of(part: str, rule: str, path: str, word: str) -> str:
    """The path with this part of its rule replaced."""
    pattern = re.sub(r"<[^>]+>", "([^/]+)", rule.replace(part, "\0")).replace("\0", "([^/]+)")
    found = re.fullmatch(pattern, path)
    number = re.findall(r"<[^>]+>", rule).index(part) + 1
    assert found, (rule, path)
    return path[: found.start(number)] + word + path[found.end(number) :]


def test_no_header_breaks_out(attacked: Attacked) -> None:
    token = attacked.its.people.tokens["owner"]
    for name in ("Idempotency-Key", "User-Agent", "Origin", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded",
                 "Accept", "Content-Type", "If-None-Match", "Range", "Cookie", "Referer", "X-Request-Id"):  # fmt: skip
        for text in attacked.share():
            value = text.encode().decode("latin-1")
            raw = request(f"GET {URL} HTTP/1.1", f"Authorization: Bearer {token}", f"{name}: {value}", CLOSE)
            answer = ask(attacked.platform, raw)
            assert 200 <= answer.status < 500, (name, text)
            assert "x-evil" not in answer.headers


def test_what_was_let_in_is_trained_and_breaks_out_nowhere(attacked: Attacked) -> None:
    platform, web, owner = attacked.platform, attacked.web, attacked.its.people.headers("owner")
    forget_all_jobs(attacked, owner)  # what they say is said once more in the one that is trained
    everything = "\n".join(text.replace("\0", "") for text in attacked.texts.values() if len(text) < 1_000)
    job = stub_body(1_000, "reach1d", agent_config=everything, hyperparameters={"learning_rate": 1e-3})
    job["env_config"]["agent_id"] = everything
    made = web.post(URL, json=job, headers=owner)
    assert made.status_code == 200, made.text
    platform.start("node")
    run_id = made.json["run_id"]
    wait_until(
        lambda: web.get(f"{URL}/{run_id}", headers=owner).json["state"] in ("SUCCEEDED", "FAILED"), 60, "its end"
    )
    shown = web.get(f"{URL}/{run_id}", headers=owner).json
    assert (shown["state"], shown["agent_config"]) == ("SUCCEEDED", everything), shown["error"]
    assert_nothing_broke_out(attacked)


def forget_all_jobs(attacked: Attacked, headers: dict[str, str]) -> None:
    """With their messages: a node takes a second for each that is not wanted any more."""
    while page := attacked.web.get(f"{URL}?team=studio admin", headers=headers).json:
        for job in page:
            assert attacked.web.delete(f"{URL}/{job['run_id']}", headers=headers).status_code == 200
    requests.delete(f"{queues_of(attacked.platform)}/train/contents", timeout=10).raise_for_status()


def queues_of(platform: StubPlatform) -> str:
    """Their address in the broker's management API."""
    return f"{platform.env['FLOWER_BROKER_API']}queues/{urlsplit(platform.env['BROKER_URL']).path.strip('/')}"


def assert_nothing_broke_out(attacked: Attacked) -> None:
    assert not attacked.canary.exists(), "A command was run."
    attacked.listener.setblocking(False)
    with pytest.raises(BlockingIOError):  # or an address was fetched
        attacked.listener.accept()
    assert named_by_it(attacked.platform) == []
    assert strange_queues(attacked.platform) == []
    for name in ("web", "results", "recorder", "node"):
        lines = attacked.platform.log(name).splitlines()
        assert "Traceback" not in attacked.platform.log(name)
        assert [line for line in lines if not line.isprintable()] == [], name


def named_by_it(platform: StubPlatform) -> list[str]:
    """Files with the mark in their names: on the node, in S3, in the project, and where paths would lead to."""
    s3 = Path(platform.env.get("S3_FOLDER", platform.folder.parent))
    found = []
    for top in (platform.folder, s3, ROOT):
        for folder, folders, names in os.walk(top):
            folders[:] = [it for it in folders if it not in (".git", ".venv", ".venv-node", ".data")]
            found += [f"{folder}/{it}" for it in (*folders, *names) if MARK in it]
    return found + [str(path) for top in ("/tmp", "/") for path in Path(top).glob(f"*{MARK}*")]  # noqa: S108


def strange_queues(platform: StubPlatform) -> list[str]:
    queues = requests.get(queues_of(platform), timeout=10).json()
    return [its["name"] for its in queues if MARK in its["name"] or not re.fullmatch(r"[\w.@:-]+", its["name"])]


def test_the_walk_finds_every_place_that_takes_a_text() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}}}
    schema: Any = {"type": "object", "required": ["d"], "$defs": {"X": inner},
                   "properties": {"a": {"$ref": "#/$defs/X"}, "d": {"type": "integer", "minimum": 5},
                                  "c": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
                                  "e": {"type": "object", "additionalProperties": True}}}  # fmt: skip
    found = places(schema)
    assert found == [("a", "b"), ("c", 0), ("e", "<a name>"), ("e", "<a value>")]
    assert [planted(schema, None, place, "T") for place in found] == [
        {"d": 5, "a": {"b": "T"}}, {"d": 5, "c": ["T"]}, {"d": 5, "e": {"T": 1}}, {"d": 5, "e": {"one": "T"}},
    ]  # fmt: skip
