"""The coordinator's settings: what is missing or wrong is named, all of it, in one sentence."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from coordinator.config import Config
from coordinator.errors import BadConfiguration
from node.config import Config as NodeConfig
from wire.variables import read_settings

NEEDED = {"DATABASE_URL": "postgresql://u:p@localhost:5432/jobs", "BROKER_URL": "amqp://u:p@localhost:5672/jobs"}


def problem(**variables: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        Config.from_environment(NEEDED | variables)
    return caught.value.detail


def test_what_is_not_set_has_its_default() -> None:
    config = Config.from_environment(NEEDED)
    assert config == Config(database_url=NEEDED["DATABASE_URL"], broker_url=NEEDED["BROKER_URL"])


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Config.from_environment(NEEDED | {"WEB_WORKERS": ""}).web_workers == Config().web_workers


def test_both_missing_addresses_are_named_with_what_they_are_for() -> None:
    with pytest.raises(BadConfiguration) as caught:
        Config.from_environment({})
    assert "DATABASE_URL is not set (PostgreSQL, as postgresql://" in caught.value.detail
    assert "BROKER_URL is not set (RabbitMQ, as amqp://" in caught.value.detail
    assert caught.value.detail.endswith("See env.sample.")


def test_every_wrong_variable_is_named_with_what_would_be_right() -> None:
    detail = problem(WEB_WORKERS="many", LEASE_SECONDS="soon", SERVE_GAMES_WITHOUT_TOKEN="perhaps")
    assert "WEB_WORKERS: must be a number, not 'many'" in detail
    assert "LEASE_SECONDS: must be a number, not 'soon'" in detail
    assert "SERVE_GAMES_WITHOUT_TOKEN: must be 1 or 0, not 'perhaps'" in detail


@pytest.mark.parametrize(("name", "value"), [
    ("WEB_WORKERS", "0"), ("WEB_WORKERS", "-1"), ("MAX_ATTEMPTS", "0"), ("LEASE_SECONDS", "nan"),
    ("LEASE_SECONDS", "-5"), ("HELLO_SECONDS", "inf"), ("MAX_BODY_BYTES", "0"), ("SWEEP_SECONDS", "0"),
])  # fmt: skip
def test_a_number_that_no_service_could_work_with_is_refused(name: str, value: str) -> None:
    assert f"{name}: must be a number above 0, not {value!r}" in problem(**{name: value})


def test_an_unknown_log_level_is_refused_with_those_there_are() -> None:
    assert "LOG_LEVEL: must be DEBUG, INFO, WARNING or ERROR, not 'LOUD'" in problem(LOG_LEVEL="LOUD")


@pytest.mark.parametrize("origins", ["play.example.com", "https://play.example.com/game", "*, https://a.b", "https://"])
def test_what_is_no_origin_is_refused(origins: str) -> None:
    assert "ALLOWED_ORIGINS: must be origins of web pages" in problem(ALLOWED_ORIGINS=origins)


@pytest.mark.parametrize("origins", ["*", "https://play.example.com", "http://a.b:81/, https://c.d"])
def test_origins_are_taken_as_browsers_say_them(origins: str) -> None:
    assert Config.from_environment(NEEDED | {"ALLOWED_ORIGINS": origins}).allowed_origins == origins


def test_a_log_level_may_be_written_small() -> None:
    assert Config.from_environment(NEEDED | {"LOG_LEVEL": "debug"}).log_level == "DEBUG"


@pytest.mark.parametrize("url", ["mysql://u:p@localhost/jobs", "nonsense", "sqlite:///jobs.db"])
def test_another_database_than_postgresql_is_refused(url: str) -> None:
    assert "DATABASE_URL: must begin with postgresql://" in problem(DATABASE_URL=url)


@pytest.mark.parametrize(("raw", "value"), [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False),
                                        ("False", False), ("no", False), ("off", False)])  # fmt: skip
def test_a_switch_takes_the_usual_words(raw: str, value: bool) -> None:
    assert Config.from_environment(NEEDED | {"SERVE_GAMES_WITHOUT_TOKEN": raw}).serve_games_without_token is value


def test_a_value_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://from:file@localhost/jobs\n")
    config = Config.from_environment(NEEDED | {"DATABASE_URL_FILE": str(tmp_path / "secret")})
    assert config.database_url == "postgresql://from:file@localhost/jobs"


def test_a_missing_file_is_named_with_its_variable(tmp_path: Path) -> None:
    detail = problem(S3_SECRET_ACCESS_KEY_FILE=str(tmp_path / "nowhere"))
    assert "S3_SECRET_ACCESS_KEY: " in detail
    assert "nowhere" in detail


@pytest.mark.parametrize(("url", "expected"), [
    ("postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"), ("postgres://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
    ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
])  # fmt: skip
def test_the_databases_driver_is_spelled_out(url: str, expected: str) -> None:
    assert Config(database_url=url).sqlalchemy_url() == expected


def test_no_secret_is_said_in_an_error() -> None:
    assert "hunter2" not in problem(DATABASE_URL="mysql://u:hunter2@localhost/jobs")


SECRET = re.compile(r"token|secret|password|url$|api$|auth$|key_id$")


@pytest.mark.parametrize("name", [
    *(spec.name for spec in fields(Config) if SECRET.search(spec.name)),
    "node_token", "coordinator_url",
])  # fmt: skip
def test_every_secret_may_stand_in_a_file(name: str, tmp_path: Path) -> None:
    kind: Any = Config if name in Config.__dataclass_fields__ else NodeConfig
    spec = {it.name: it for it in fields(kind)}[name]
    if not isinstance(spec.default, str):
        return  # a switch
    value = (spec.metadata["begins"] or ("https://",))[0] + "u:5f0c@a.example:1"
    if spec.metadata["form"]:
        value = "https://a.example"
    path = tmp_path / "secret"
    path.write_text(f"{value}\n")
    found, wrong = read_settings(kind, {f"{name.upper()}_FILE": str(path)})
    assert (found[name], wrong) == (value, [])


@pytest.mark.parametrize("url", [
    "amqp:/train_jobs:5f0c9ab1@localhost/x", "amqp://train_jobs:5f0c/9ab1@localhost:5672/x", "amqp://[train_jobs:5f0c9ab1@h/x",
    "train_jobs:5f0c9ab1@localhost", "amqp://train_jobs:p@localhost:5f0c9ab1/x",
])  # fmt: skip
def test_an_address_that_is_none_is_not_repeated_since_it_may_hold_a_password(url: str) -> None:
    said = problem(BROKER_URL=url)
    assert "BROKER_URL: " in said
    assert "5f0c" not in said
