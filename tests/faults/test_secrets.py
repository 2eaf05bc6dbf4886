"""No secret is where somebody may read it who may not have it: logs, Flower, messages, command lines, answers, files.

Everything says as much as it can (LOG_LEVEL=DEBUG): jobs succeed and fail, a build is uploaded, people err.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from urllib.parse import urlsplit

import psutil
import pytest
import requests
import websocket
from kombu import Connection, Exchange, Queue

from services.platform import ROOT, wait_until
from services.stack import Stack
from tests.acceptance.viewers import Viewer
from tests.jobs import bearer
from tests.stub_platform import StubPlatform

SIGNED = re.compile(rb"X-Amz-Signature=[0-9a-f]{8}|[?&]Signature=[\w%]{8}|[?&]AWSAccessKeyId=")
"""Of a link that lets whoever has it read or write a file."""


class Tap(Thread):
    """Keeps every message of the broker, as its tracer shows them: bodies, headers, and whatever else it has."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.heard: list[bytes] = []
        self.ended = Event()
        self._connection = Connection(url)
        trace = Queue(
            "", Exchange("amq.rabbitmq.trace", type="topic", no_declare=True), "#", exclusive=True, durable=False
        )
        self._consumer = self._connection.Consumer(trace, callbacks=[self._hear], accept=None, no_ack=True)
        self._consumer.consume()
        self.start()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                self._connection.drain_events(timeout=0.5)
            except TimeoutError:
                continue

    def end(self) -> None:
        self.ended.set()
        self.join()

    def _hear(self, body: object, message: object) -> None:
        said = (getattr(message, "body", b""), getattr(message, "headers", {}), getattr(message, "properties", {}))
        self.heard.append(repr((body, *said)).encode())


class World:
    """A platform in which much has happened, and what is secret there."""

    def __init__(self, platform: StubPlatform, stack: Stack, more: dict[str, str]) -> None:
        self.platform, self.stack, self.more = platform, stack, more
        self.answers: list[bytes] = []
        self.printed: list[bytes] = []

    def secrets(self) -> dict[str, bytes]:
        env = self.platform.env
        found = {f"the password of {name}": urlsplit(env[name]).password or "" for name in
                 ("DATABASE_URL", "BROKER_URL", "FLOWER_BROKER_API", "BROKER_API")}  # fmt: skip
        found |= {
            "a user's token": self.platform.token,
            "Flower's password": env["FLOWER_BASIC_AUTH"].partition(":")[2],
        }
        found |= {"the key of S3": env["S3_SECRET_ACCESS_KEY"]} | self.more
        for name in ("node", "n1"):
            its = self.platform.environment(name)
            found[f"the token of {name}"] = its["NODE_TOKEN"]
            found[f"the broker's password of {name}"] = urlsplit(its["BROKER_URL"]).password or ""
        assert all(len(secret) > 15 for secret in found.values()), found.keys()
        return {name: secret.encode() for name, secret in found.items()}

    def in_(self, content: bytes) -> list[str]:
        """Which secrets are there."""
        found = [name for name, secret in self.secrets().items() if secret in content]
        return found + (["a signed link"] if SIGNED.search(content) else [])

    def ask(self, method: str, path: str, token: str | None, **its: object) -> None:
        headers = bearer(token) if token else {}
        answer = requests.request(method, self.platform.url + path, headers=headers, timeout=30, **its)  # type: ignore[arg-type]
        self.answers.append(answer.content + repr(answer.headers).encode())

    def print(self, command: str, **environ: str) -> None:
        """What a command says that goes wrong."""
        done = subprocess.run(
            ["sh", "-c", command],
            env=self.platform.env | environ,
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode, command
        self.printed.append(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("platform")
    more = {"a garbage token": "tj_" + secrets.token_hex(20), "an issuer's secret": secrets.token_hex(32)}
    settings = {"LOG_LEVEL": "DEBUG", "NEXTAUTH_SECRET": more["an issuer's secret"], "PYTHONWARNINGS": "default"}
    kinds = {"failing": {"error": {"type": "ValueError", "message": "It can't learn."}}}
    with Stack(tmp_path_factory.mktemp("services"), environ={}) as stack:
        assert stack.rabbitmq
        with StubPlatform(stack, folder, settings, **kinds) as platform:  # type: ignore[arg-type]
            made = World(platform, stack, more)
            platform.add_node("n1")
            stack.rabbitmq.ctl("trace_on", "-p", "train_jobs")
            tap = Tap(stack.env["BROKER_URL"])
            platform.start("web", "results", "recorder", "flower", "n1")
            try:
                _live(made)
            finally:
                tap.end()
            made.heard = tap.heard  # type: ignore[attr-defined]
            yield made


def _pole(folder: Path) -> str:
    """CartPole under another name: that of the installation's own is nobody's to take."""
    shutil.copytree(ROOT / "environments" / "cartpole", folder, dirs_exist_ok=True)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"cartpole"', '"pole"'))
    return str(folder)


def _live(world: World) -> None:
    platform, garbage = world.platform, world.more["a garbage token"]
    first = platform.submit(0.5)
    viewer = Viewer(platform.socket_url, {"run_id": first, "token": platform.token, "logs": True})
    failing = platform.submit(0.5, "failing")
    platform.until("SUCCEEDED", first)
    platform.until("FAILED", failing)
    assert viewer.finish().binaries
    with TemporaryDirectory() as folder:
        upload = [sys.executable, "-m", "sample.upload", _pole(Path(folder)), "--url", platform.url]
        done = subprocess.run(
            upload, env=platform.env | {"TOKEN": platform.token}, cwd=ROOT, capture_output=True, check=False
        )
    world.printed.append(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    asked = (("POST", "/api/v1/train-jobs"), ("GET", f"/api/v1/train-jobs/{first}/none"), ("GET", "/api/v1/me"),
             ("PUT", "/api/v1/me"), ("POST", f"/api/v1/node/attempts/{first}/1/claim"))  # fmt: skip
    for token in (platform.token, garbage, platform.environment("n1")["NODE_TOKEN"]):
        for method, path in asked:
            world.ask(method, path, token, data=f'{{"token": "{token}", "nested": [1, {{')
            world.ask(method, f"{path}?token={token}", token, json={"token": token, "steps": token})
    for hello in (
        f'{{"run_id": "{first}", "token": "{garbage}"}}',
        f'{{"token": "{platform.token}"',
        f'"{platform.token}"',
    ):
        ws = websocket.create_connection(platform.socket_url, timeout=20)
        ws.send(hello)
        world.answers.append(repr(ws.recv()).encode())
        ws.close()
    with Connection(platform.env["BROKER_URL"]) as connection:
        for queue in ("coord", "train"):
            connection.Producer().publish({"nonsense": 1}, routing_key=queue)
    _err(world)


def _err(world: World) -> None:
    """What operators see who have mistyped something."""
    env, nowhere = world.platform.env, "127.0.0.1:1"
    for name, command in (
        ("DATABASE_URL", "flask --app wsgi tokens list ann"),
        ("BROKER_URL", "flask --app wsgi broker check"),
        ("BROKER_URL", "python -m node check"),
    ):
        host = env[name].rpartition("@")[2].partition("/")[0]
        world.print(command, **{name: env[name].replace(host, nowhere), "NODE_TOKEN": world.more["a garbage token"]})
        world.print(command, **{name: env[name].replace("://", ":/"), "NODE_TOKEN": world.more["a garbage token"]})
    world.print("flask --app wsgi flower", FLOWER_BASIC_AUTH=world.secrets()["Flower's password"].decode())
    world.print("flask --app wsgi recorder", LEASE_SECONDS="soon", ALLOWED_ORIGINS="everybody")


def test_no_log_has_one(world: World) -> None:
    logs = [*world.platform.folder.glob("*.log"), *(world.stack.data_dir / "logs").glob("*.log")]
    assert {"web.log", "results.log", "recorder.log", "flower.log", "n1.log", "rabbitmq.log", "s3.log"} <= {
        it.name for it in logs
    }
    assert {path.name: found for path in logs if (found := world.in_(path.read_bytes()))} == {}
    assert b"DEBUG" in (world.platform.folder / "web.log").read_bytes()


def test_flower_shows_none(world: World) -> None:
    flower = f"http://{world.platform.env['FLOWER_BASIC_AUTH']}@127.0.0.1:{world.platform.env['FLOWER_PORT']}"
    workers = f"{flower}/api/workers?refresh=1"
    wait_until(lambda: "results@" in requests.get(workers, timeout=30).text, 60, "the worker that can be asked")
    tasks = requests.get(f"{flower}/api/tasks", timeout=30).json()
    assert {"train.run"} < {task["name"] for task in tasks.values()}
    pages = ["/", "/tasks", "/broker", "/metrics", "/api/tasks", "/api/workers", *(f"/task/{id_}" for id_ in tasks),
             *(f"/worker/{name}" for name in requests.get(f"{flower}/api/workers", timeout=30).json())]  # fmt: skip
    assert {
        page: found for page in pages if (found := world.in_(requests.get(flower + page, timeout=30).content))
    } == {}


def test_no_message_has_one(world: World) -> None:
    heard: list[bytes] = world.heard  # type: ignore[attr-defined]
    assert any(b"train.run" in it for it in heard)
    assert any(b"coord.outcome" in it for it in heard)
    assert [(it[:300], found) for it in heard if (found := world.in_(it))] == []


def test_no_command_line_has_one(world: World) -> None:
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert any("gunicorn" in line for line in lines)
    assert [line for line in lines if world.in_(line.encode())] == []


def test_no_answer_has_one(world: World) -> None:
    assert len(world.answers) > 30
    assert [(answer[:300], found) for answer in world.answers if (found := world.in_(answer))] == []


def test_no_command_prints_one(world: World) -> None:
    assert [(said[-600:], found) for said in world.printed if (found := world.in_(said))] == []


def test_what_was_set_aside_has_none(world: World) -> None:
    said = world.platform.run("flask --app wsgi rejected --limit 100").encode()
    assert b"nonsense" in said
    assert world.in_(said) == []


def test_nothing_that_a_training_left_has_one(world: World) -> None:
    for job in world.platform.call("GET", "/train-jobs"):
        url = f"{world.platform.url}/api/v1/train-jobs/{job['run_id']}"
        assert world.in_(requests.get(url, headers=bearer(world.platform.token), timeout=30).content) == []
    stored = [path for path in (world.stack.data_dir / "s3").rglob("*") if path.is_file()]
    kept = [path for path in (world.platform.folder / "n1").rglob("*") if path.is_file()]
    assert stored
    assert {str(path): found for path in [*stored, *kept] if (found := world.in_(Path(path).read_bytes()))} == {}


def test_no_environment_of_a_training_has_one(world: World) -> None:
    run_id = world.platform.submit(20)
    trainers: list[psutil.Process] = []

    def training() -> bool:
        trainers[:] = [it for it in psutil.process_iter() if _is_trainer(it, str(world.platform.folder))]
        return bool(trainers)

    wait_until(training, 60, "a trainer")
    said = [repr(it.environ()).encode() for it in trainers]
    world.platform.call("POST", f"/train-jobs/{run_id}/cancel")
    assert [found for it in said if (found := world.in_(it))] == []


def _is_trainer(process: psutil.Process, folder: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return (
        process.pid != os.getpid()
        and any("stub_trainer" in word for word in words)
        and any(folder in word for word in words)
    )
