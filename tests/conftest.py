"""Real services, started once and only when a test asks for them; a fresh database for every test that wants one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flask_migrate
import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from coordinator.accounts import tokens
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.ledger import Logged, Told
from coordinator.live.bus import Publisher
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from coordinator.storage import Storage
from services.platform import Platform
from services.stack import Stack
from tests.brokers import broker_of_tests, virtual_host
from tests.corners import database_url, sql
from tests.databases import Databases
from tests.jobs import bearer
from tests.people import of_node
from tests.played_node import PlayedNode
from tests.stub_node import StubNode
from tests.watched import (
    WatchedClient,
    requests_are_watched,
    sockets_are_watched,
    traffic_is_as_the_documents_say,
)

__all__ = ["requests_are_watched", "sockets_are_watched", "traffic_is_as_the_documents_say"]
_quick = hypothesis.settings(
    max_examples=25, stateful_step_count=40, deadline=None, print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
hypothesis.settings.register_profile("quick", _quick)
hypothesis.settings.register_profile("deep", _quick, max_examples=200, stateful_step_count=80)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
_storages: dict[str, Storage] = {}  # boto3 takes half a second to make a client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, RabbitMQ and S3 for all tests that do not stop them."""
    with broker_of_tests() as environ:
        running = Stack(tmp_path_factory.mktemp("services"), environ=environ)
        running.start()
        yield from _without_fsync(running)


def _without_fsync(running: Stack) -> Iterator[Stack]:
    sql(running, "ALTER SYSTEM SET fsync = off", "postgres")  # nobody pulls the plug here, and databases come and go
    sql(running, "SELECT pg_reload_conf()", "postgres")
    yield running
    running.kill()


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated database with two users and a node, which every test's own is copied from."""

    name: str
    owner: str
    stranger: str
    node: str
    other_node: str


class Overheard(Publisher):
    """Keeps what is to be told to the web processes."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.logged: list[Logged] = []

    def publish(self, told: Iterable[Told]) -> None:
        self.told += told

    def publish_logs(self, logged: Iterable[Logged]) -> None:
        self.logged += logged


def config_of(stack: Stack, database: str, **settings: Any) -> Config:
    names = {name.lower(): value for name, value in stack.env.items() if name.lower() in Config.__dataclass_fields__}
    return Config(**names | {"database_url": database_url(stack, database), "log_level": "WARNING"} | settings)


@pytest.fixture(scope="session")
def template(stack: Stack) -> Template:
    """Made by the migrations, as an operator makes it."""
    name = "template_jobs"
    sql(stack, f"CREATE DATABASE {name}")
    app = create_app(config_of(stack, name))
    with app.app_context():
        flask_migrate.upgrade()
        made = Template(
            name, tokens.create_for_user("owner"), tokens.create_for_user("stranger"), of_node("node"),
            of_node("other-node"),
        )  # fmt: skip
        parts(app).storage.ensure_bucket()
        db.session.remove()
        db.engine.dispose()
    return made


@pytest.fixture(scope="session")
def databases(stack: Stack, template: Template) -> Databases:
    """Of which every test that wants one gets its own."""
    return Databases(stack, template.name)


@contextmanager
def running(config: Config) -> Iterator[Flask]:
    """The web's app. What it tells the other processes is overheard, not sent."""
    tokens.forget()  # what was known of them in another test's database
    app = create_app(config)
    app.test_client_class = WatchedClient
    storage = _storages.setdefault(config.s3_endpoint_url, parts(app).storage)
    replace(parts(app), publisher=Overheard(), storage=storage).install(app)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    with databases.lent() as name:
        yield name


@pytest.fixture(scope="module")
def shared_client(stack: Stack, databases: Databases) -> Iterator[FlaskClient]:
    """One client for all tests of a module: for requests that leave nothing behind."""
    with databases.lent() as name, running(config_of(stack, name)) as app:
        yield app.test_client()


@pytest.fixture
def config(stack: Stack, database: str) -> Config:
    """What the app of a test is made with."""
    return config_of(stack, database)


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """The web's app over a fresh database."""
    with running(config) as made:
        yield made


@pytest.fixture
def pipeline(app: Flask) -> Iterator[None]:
    """The steps by which `recorder` and `results` record what nodes report, over the app of the test."""
    its = parts(app)
    steps.connect(its.storage, its.publisher, its.config)
    yield
    reported.disconnect(dispatch_uid="pipeline")


@pytest.fixture
def played(app: Flask, pipeline: None, template: Template) -> PlayedNode:
    """A training node without a trainer and without a broker."""
    return PlayedNode(app, bearer(template.node))


@pytest.fixture
def told(app: Flask) -> list[Told]:
    """What has been told so far."""
    publisher = parts(app).publisher
    assert isinstance(publisher, Overheard)
    return publisher.told


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def owner(template: Template) -> dict[str, str]:
    """Headers of the user whose jobs these are."""
    return bearer(template.owner)


@pytest.fixture
def stranger(template: Template) -> dict[str, str]:
    """Headers of another user."""
    return bearer(template.stranger)


@pytest.fixture
def node(template: Template) -> dict[str, str]:
    """Headers of a training node."""
    return bearer(template.node)


@pytest.fixture
def vhost(stack: Stack) -> Iterator[str]:
    """The address of an empty virtual host of the broker."""
    with virtual_host(stack.env["BROKER_URL"], stack.env["FLOWER_BROKER_API"]) as url:
        yield url


@pytest.fixture(scope="session")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The web (one process), results and recorder as real programs; little patience, so that tests need little."""
    settings = {"WEB_WORKERS": "1", "HELLO_SECONDS": "1", "SOCKET_WRITE_SECONDS": "2", "SOCKET_LINGER_SECONDS": "20",
                "SOCKET_BACKLOG": "50", "REQUEST_SECONDS": "3", "LOG_LEVEL": "WARNING"}  # fmt: skip
    with Platform(stack, tmp_path_factory.mktemp("platform"), settings) as made:
        made.start("web", "results", "recorder")
        yield made


@pytest.fixture
def stub_node(platform: Platform, tmp_path: Path) -> StubNode:
    """A training node of that platform, without a trainer."""
    return StubNode(platform, tmp_path)
