"""docs/deploy.md is followed to the letter: certificates, a proxy, and every secret replaced while jobs go on."""

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import requests
import websocket
from amqp import AccessRefused
from kombu import Connection

from services.platform import ROOT, wait_until
from services.ports import free_ports
from services.postgres import find_programs as postgres_programs
from services.process import Process
from services.rabbitmq_programs import find_programs
from services.stack import Stack
from tests.jobs import bearer
from tests.stub_platform import StubPlatform

GUIDE = (ROOT / "docs" / "deploy.md").read_text()
FILES = {"DATABASE_URL": "database-url", "BROKER_URL": "broker-url", "S3_ACCESS_KEY_ID": "s3-key",
         "S3_SECRET_ACCESS_KEY": "s3-secret", "FLOWER_BASIC_AUTH": "flower-login", "BROKER_API": "broker-api",
         "FLOWER_BROKER_API": "broker-api"}  # fmt: skip

NGINX = """daemon off; pid %(folder)s/nginx.pid.txt; error_log %(folder)s/error.log; events {}
http { access_log off; client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy;
%(server)s}
"""


def block(title: str, language: str = "sh", number: int = 0) -> str:
    """What stands in a section of the guide to be typed."""
    section = re.split(r"^##+ ", GUIDE, flags=re.MULTILINE)
    (text,) = [it for it in section if it.startswith(f"{title}\n")]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


class Machine:
    """One on which the guide is followed: its settings lie in files, and its programs can be restarted."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.conf = stack, folder / "conf"
        self.conf.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name, file in FILES.items():
            value = stack.env.get(name, "flower:at-the-beginning-9f2c")
            (self.conf / file).write_text(value + "\n")
        settings = {f"{name}_FILE": str(self.conf / file) for name, file in FILES.items()}
        settings |= {"TRUSTED_PROXIES": "127.0.0.1", "PUBLIC_URL": "https://train.example.com"}
        self.platform = StubPlatform(stack, folder / "platform", settings)
        self._wrap("rabbitmqctl", stack)

    def _wrap(self, name: str, stack: Stack) -> None:
        assert stack.rabbitmq
        command = " ".join(f"'{word}'" for word in find_programs(stack.rabbitmq.folder).command(name, "-q"))
        sets = "\n".join(f"export {key}='{value}'" for key, value in stack.rabbitmq.environment().items()
                         if key.startswith(("RABBITMQ_", "ERL_")) or key == "HOME")  # fmt: skip
        (self.bin / name).write_text(f'#!/bin/sh\n{sets}\nexec {command} "$@"\n')
        (self.bin / name).chmod(0o755)

    def follow(self, script: str, **more: str) -> str:
        """Types it; then what it wants restarted is. What it printed."""
        assert self.stack.postgres
        wanted = self.conf / "restart"
        begin = f'set -euo pipefail\nrestart() {{ echo "$@" > {wanted}; }}\n'
        tools = [str(self.bin), str(postgres_programs()), self.platform.env["PATH"]]
        url = self.stack.postgres.url.replace("+psycopg2", "").replace("//train_jobs:", "//postgres:")
        environ = self.platform.env | {
            "PATH": os.pathsep.join(tools),
            "CONF": str(self.conf),
            "PSQL": f"psql --quiet {url}",
        }
        done = subprocess.run(
            ["bash", "-c", begin + script],
            env=environ | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        if wanted.exists():
            self.restart(*wanted.read_text().split())
            wanted.unlink()
        return done.stdout

    def restart(self, *names: str) -> None:
        for name in names:
            self.platform.process(name).stop()
            self.platform.start(name)

    def read(self, name: str) -> str:
        return (self.conf / FILES[name]).read_text().strip()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with Stack(tmp_path_factory.mktemp("services"), environ={}) as stack:
        made = Machine(stack, tmp_path_factory.mktemp("machine"))
        with made.platform as platform:
            platform.add_node("n1", **{f"{name}_FILE": "" for name in FILES})  # it has nothing of the coordinator's
            platform.start("web", "results", "recorder", "flower", "n1")
            yield made


def still_trains(machine: Machine) -> None:
    machine.platform.until("SUCCEEDED", machine.platform.submit(0.3))


def test_the_settings_of_the_guide_make_files_that_only_their_owner_reads(machine: Machine, tmp_path: Path) -> None:
    script = block("Secrets in files").replace("/etc/train-jobs", str(tmp_path / "conf"))
    machine.follow(script)
    made = {path.name: path for path in (tmp_path / "conf").iterdir()}
    assert {*made} == {*FILES.values()}
    assert {path.stat().st_mode & 0o077 for path in made.values()} == {0}
    given = re.findall(r"^(\w+)_FILE=/etc/train-jobs/(\S+)$", block("Secrets in files", "ini"), re.MULTILINE)
    assert dict(given) == FILES


def test_the_first_people_are_made(machine: Machine) -> None:
    token = machine.follow(block("First people")).split()[-1]
    me = requests.get(f"{machine.platform.url}/api/v1/me", headers=bearer(token), timeout=10).json()
    assert (me["name"], me["is_operator"]) == ("admin", True)


def test_the_databases_password_is_replaced(machine: Machine) -> None:
    old = machine.read("DATABASE_URL").replace("+psycopg2", "")
    machine.follow(block("The database's password"))
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(old)
    psycopg2.connect(machine.read("DATABASE_URL").replace("+psycopg2", "")).close()
    still_trains(machine)


def test_the_brokers_password_is_replaced(machine: Machine) -> None:
    old = machine.read("BROKER_URL")
    machine.follow(block("The broker's password"))
    with pytest.raises(AccessRefused), Connection(old) as connection:
        connection.connect()
    still_trains(machine)


def test_the_keys_of_s3_are_replaced(machine: Machine) -> None:
    s3 = machine.stack.s3
    assert s3
    s3.key, s3.secret = "a-second-key", "a-second-secret-4b1d"
    s3.restart()
    machine.follow(block("The keys of S3"), NEW_S3_KEY=s3.key, NEW_S3_SECRET=s3.secret)
    still_trains(machine)


def test_flowers_login_is_replaced(machine: Machine) -> None:
    old = machine.read("FLOWER_BASIC_AUTH")
    machine.follow(block("Flower's login"))
    new, port = machine.read("FLOWER_BASIC_AUTH"), machine.platform.env["FLOWER_PORT"]

    def status(login: str) -> int:
        try:
            return requests.get(f"http://{login}@127.0.0.1:{port}/metrics", timeout=10).status_code
        except requests.RequestException:
            return 0

    wait_until(lambda: status(new) == 200, 60, "Flower with its new login")
    assert status(old) == 401


def test_a_users_token_is_replaced(machine: Machine) -> None:
    old = machine.platform.run("flask --app wsgi tokens create ann")
    machine.follow(block("A user's token"))
    new = (machine.conf / "token-of-ann").read_text().strip()

    def status(token: str) -> int:
        return requests.get(f"{machine.platform.url}/api/v1/me", headers=bearer(token), timeout=10).status_code

    wait_until(lambda: (status(old), status(new)) == (401, 200), 10, "the new token instead of the old")


def test_a_node_is_enrolled_by_the_printed_line(machine: Machine) -> None:
    assert machine.follow(block("A training node")).strip()
    assert machine.follow(block("A node's token and broker user")).strip()


@pytest.fixture(scope="module")
def proxy(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """nginx as the guide has it, with the guide's certificates: its port, and whom to trust."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    machine.follow(block("TLS of the other services"))
    folder, (port,) = tmp_path_factory.mktemp("nginx"), free_ports(1, set())
    server = block("The TLS proxy", "nginx").replace("/etc/train-jobs", str(machine.conf))
    server = server.replace("listen 443", f"listen 127.0.0.1:{port}")
    server = server.replace("127.0.0.1:8080", machine.platform.env["WEB_BIND"])
    (folder / "nginx.conf").write_text(NGINX % {"folder": folder, "server": server})
    process = Process("nginx", folder / "nginx.log", folder / "nginx.pid")
    process.start([nginx, "-p", folder, "-c", folder / "nginx.conf"], os.environ, folder)
    ca = machine.conf / "tls" / "ca.pem"
    process.wait_ready(lambda: _answers(port, ca), 20)
    yield port, ca
    process.stop()


def _answers(port: int, ca: Path) -> bool:
    try:
        return requests.get(f"https://127.0.0.1:{port}/readyz", verify=str(ca), timeout=5).ok
    except requests.RequestException:
        return False


def test_the_proxy_speaks_tls_and_says_who_asks(machine: Machine, proxy: tuple[int, Path]) -> None:
    port, ca = proxy
    url, local = f"https://127.0.0.1:{port}", machine.platform.run("flask --app wsgi tokens create dev --loopback-only")
    answer = requests.get(f"{url}/livez", verify=str(ca), timeout=10)
    assert answer.headers["Strict-Transport-Security"]
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):
        refused = requests.get(f"{url}/api/v1/me", headers=bearer(local) | headers, verify=str(ca), timeout=10)
        assert "own machine only" in refused.json()["detail"]


def test_a_game_watches_through_the_proxy(machine: Machine, proxy: tuple[int, Path]) -> None:
    port, ca = proxy
    run_id = machine.platform.submit(0.3)
    ws = websocket.create_connection(
        f"wss://127.0.0.1:{port}/ws/v1/client-stream", timeout=60,
        header=[f"Authorization: Bearer {machine.platform.token}"],
        sslopt={"ca_certs": str(ca), "cert_reqs": ssl.CERT_REQUIRED},
    )  # fmt: skip
    ws.send(f'{{"run_id": "{run_id}"}}')
    said = list(iter(ws.recv, ""))
    assert isinstance(said[-1], bytes)
