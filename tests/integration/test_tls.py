"""TLS to RabbitMQ and to the coordinator: verified, always; what is not trusted is refused with a sentence."""

import io
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskCliRunner

from coordinator.broker import connection, declare_all
from coordinator.parts import parts
from node import check, check_platform
from node.central import Away, Central
from node.config import BadConfiguration, Config
from services.platform import ROOT, Platform, wait_until
from services.ports import free_ports
from services.process import Process
from services.stack import Stack
from tests.certificates import Authority, authority

LISTEN = """
rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, [{{cacertfile, "{its.ca}"}},
  {{certfile, "{its.certificate}"}}, {{keyfile, "{its.key}"}}, {{verify, verify_none}}], 1).
"""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls") / "trusted")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whose word is worth nothing here."""
    return authority(tmp_path_factory.mktemp("tls") / "other")


@pytest.fixture(scope="module")
def port(stack: Stack, trusted: Authority) -> int:
    """Where RabbitMQ speaks TLS."""
    if stack.rabbitmq is None:
        pytest.skip("The broker is somebody else's.")
    its = shutil.copytree(trusted.ca.parent, stack.rabbitmq.folder / "tls")  # the one folder that it is sure to see
    inside = Authority(*(its / path.name for path in (trusted.ca, trusted.certificate, trusted.key)))
    (made,) = free_ports(1, set())
    stack.rabbitmq.ctl("eval", "ssl:start(), " + LISTEN.format(port=made, its=inside).strip())
    return made


def secured(url: str, port: int, host: str = "localhost") -> str:
    """The same login over TLS."""
    its = urlsplit(url)
    return its._replace(scheme="amqps", netloc=f"{its.username}:{its.password}@{host}:{port}").geturl()


def checked(app: Flask, url: str, ca: Path) -> tuple[int, str]:
    """What `flask --app wsgi broker check` answers."""
    its = parts(app)
    replace(its, config=replace(its.config, broker_url=url, broker_ca_file=str(ca))).install(app)
    answer = FlaskCliRunner(app).invoke(args=["broker", "check"])
    return answer.exit_code, answer.output


def test_the_coordinator_takes_a_broker_whose_certificate_is_vouched_for_and_no_other(
    app: Flask, stack: Stack, port: int, trusted: Authority, other: Authority
) -> None:
    url = stack.env["BROKER_URL"]
    assert checked(app, secured(url, port), trusted.ca)[0] == 0
    for host, its in (("localhost", other), ("127.0.0.1", trusted)):  # the certificate is localhost's
        code, said = checked(app, secured(url, port, host), its.ca)
        assert code == 1
        assert "✗ RabbitMQ's certificate is not trusted" in said


def test_a_node_takes_a_broker_whose_certificate_is_vouched_for_and_no_other(
    platform: Platform, port: int, trusted: Authority, other: Authority
) -> None:
    def said(ca: Path) -> str:
        out, url = io.StringIO(), secured(platform.node_broker_url, port)
        its = {"BROKER_URL": url, "NODE_TOKEN": "none", "BROKER_CA_FILE": str(ca)}
        check.report(out, its, [check_platform.rabbitmq])
        return out.getvalue()

    assert said(trusted.ca).startswith("ok ")
    assert said(other.ca).startswith("NO ")
    assert "certificate verify failed" in said(other.ca)


def is_connected(platform: Platform, program: str) -> bool:
    """Whether that program is, over TLS."""
    found = requests.get(f"{platform.env['BROKER_API']}connections", timeout=20).json()
    names = [it.get("client_properties", {}).get("connection_name", "") for it in found if it.get("ssl")]
    return any(name.startswith(program) for name in names)


def test_flower_listens_over_tls(platform: Platform, port: int, trusted: Authority, tmp_path: Path) -> None:
    its = Process("flower", tmp_path / "flower.log", tmp_path / "flower.pid")
    env = {**platform.env, "BROKER_URL": secured(platform.env["BROKER_URL"], port), "BROKER_CA_FILE": str(trusted.ca),
           "FLOWER_PORT": str(free_ports(1, set())[0])}  # fmt: skip
    its.start(["flask", "--app", "wsgi", "flower"], env, ROOT)
    try:
        wait_until(lambda: is_connected(platform, "flower@"), 60, "Flower to be connected")
    finally:
        its.stop()


@pytest.fixture
def node(platform: Platform, port: int, vhost: str, tmp_path: Path) -> Iterator[tuple[Process, dict[str, str]]]:
    """The program of a node on an empty virtual host, not yet started, and its environment."""
    its = Process("node", tmp_path / "node.log", tmp_path / "node.pid")
    bridge = free_ports(1, set())[0]
    yield its, {**platform.environment("node"), "BROKER_URL": secured(vhost, port),
                "NODE_DATA_DIR": str(tmp_path / "its"), "BRIDGE_ADDRESS": f"127.0.0.1:{bridge}"}  # fmt: skip
    its.stop()


@pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted", "not trusted"])
def test_a_node_works_over_tls_or_waits_and_says_why(
    node: tuple[Process, dict[str, str]], vhost: str, trusted: Authority, other: Authority, is_trusted: bool
) -> None:
    with connection(vhost) as its:
        declare_all(its.default_channel)
    process, environ = node
    ca = (trusted if is_trusted else other).ca
    process.start([sys.executable, "-m", "node", "run"], environ | {"BROKER_CA_FILE": str(ca)}, ROOT)
    wanted = "Started consuming from train" if is_trusted else "certificate verify failed"
    wait_until(lambda: wanted in process.log.read_text(), 60, f"the node to say: {wanted}")
    assert process.running
    assert ("Connected to amqps://" in process.log.read_text()) is is_trusted


def test_a_node_takes_a_coordinator_whose_certificate_is_vouched_for_and_no_other(
    platform: Platform, trusted: Authority, other: Authority, tmp_path: Path
) -> None:
    (port,) = free_ports(1, set())
    web = Process("web", tmp_path / "web.log", tmp_path / "web.pid")
    arguments = f"--certfile={trusted.certificate} --keyfile={trusted.key}"
    environ = {**platform.env, "WEB_BIND": f"127.0.0.1:{port}", "WEB_WORKERS": "1", "GUNICORN_CMD_ARGS": arguments}
    web.start([sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"], environ, ROOT)
    url = f"https://localhost:{port}"
    try:
        wait_until(lambda: answers(Central(url, platform.node_token, str(trusted.ca))), 60, "the web to answer")
        with pytest.raises(
            Away, match=f"The certificate of the coordinator at {url} is not trusted. COORDINATOR_CA_FILE"
        ):
            Central(url, platform.node_token, str(other.ca)).check()
        with pytest.raises(Away, match="is not trusted"):
            Central(url, platform.node_token).check()
    finally:
        web.stop()


def answers(central: Central) -> bool:
    try:
        return "time" in central.check()
    except Away:
        return False


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"BROKER_URL": "amqps://u:p@x/v?ssl_cert_reqs=none"}, "nothing may follow a '?'"),
    ({"BROKER_CA_FILE": "/etc/hostname"}, "BROKER_CA_FILE is set, but BROKER_URL does not begin with amqps://"),
    ({"BROKER_URL": "amqps://x/v", "BROKER_CA_FILE": "/no/such"}, "BROKER_CA_FILE: there is no file /no/such"),
    ({"BROKER_URL": "amqps://x/v", "BROKER_KEY_FILE": "/etc/hostname"}, "belong together"),
    ({"COORDINATOR_CA_FILE": "/etc/hostname"}, "COORDINATOR_URL does not begin with https://"),
], ids=lambda it: "" if isinstance(it, str) else ", ".join(it))  # fmt: skip
def test_settings_that_would_verify_nothing_are_refused(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadConfiguration, match="This node can't start") as refused:
        Config.from_environment({"BROKER_URL": "amqp://x/v", "NODE_TOKEN": "t", **settings})
    assert sentence in str(refused.value)
