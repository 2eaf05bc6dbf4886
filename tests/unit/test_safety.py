"""Nothing starts in a way that is unsafe where others reach it; what is refused is named with what would be right."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator import safety
from coordinator.app import create_app
from coordinator.config import Config
from coordinator.errors import BadConfiguration
from services.platform import procfile

EVERYWHERE = "0.0.0.0"  # noqa: S104
HOME = Config(
    database_url="postgresql://u:change-me@localhost/jobs", broker_url="amqp://guest:guest@localhost/jobs",
    s3_secret_access_key="change-me", flower_broker_api="http://guest:guest@localhost/api/", allowed_origins="*",
    broker_api="http://guest:guest@localhost/api/",
)  # fmt: skip
SAFE = Config(
    web_bind=f"{EVERYWHERE}:8080", flower_address=EVERYWHERE, flower_basic_auth="me:5f0c", s3_secret_access_key="9ab1",
    database_url="postgresql://u:71aa@localhost/jobs", broker_url="amqp://u:33ef@localhost/jobs",
    flower_broker_api="http://u:33ef@localhost/api/", public_url="https://a.example", trusted_proxies="127.0.0.1",
    allowed_origins="https://play.example.com", broker_api="http://u:33ef@localhost/api/",
)  # fmt: skip
ISSUER: dict[str, Any] = {"auth_issuer": "https://login.example.com", "auth_audience": "train-jobs"}
BY_KEYS = replace(SAFE, auth_jwks_url="https://login.example.com/keys", **ISSUER)
BY_SECRET = replace(SAFE, auth_jwt_secret="k" * 32, nextauth_secret="n" * 32, **ISSUER)
OPENED = replace(SAFE, serve_games_without_token=True, allowed_origins="*", public_url="")
ROOT = Path(__file__).resolve().parents[2]


def refused(config: Config) -> set[str]:
    """The variables that are named."""
    with pytest.raises(BadConfiguration, match=r"^This would be unsafe, so nothing is started") as caught:
        safety.check(config)
    return {*re.findall(r" ([A-Z0-9_]+): ", caught.value.detail)}


def test_on_a_machine_of_ones_own_anything_goes() -> None:
    safety.check(HOME)


def test_with_secrets_of_ones_own_it_may_be_open() -> None:
    safety.check(SAFE)


@pytest.mark.parametrize(("change", "variable"), [
    ({"database_url": "postgresql://u:change-me@localhost/jobs"}, "DATABASE_URL"),
    ({"database_url": "postgresql://u:Password@localhost/jobs"}, "DATABASE_URL"),
    ({"broker_url": "amqp://guest:guest@localhost/jobs"}, "BROKER_URL"),
    ({"broker_url": "amqp://u:change%2Dme@localhost/jobs"}, "BROKER_URL"),
    ({"s3_secret_access_key": "minioadmin"}, "S3_SECRET_ACCESS_KEY"),
    ({"flower_basic_auth": ""}, "FLOWER_BASIC_AUTH"),
    ({"flower_basic_auth": "flower:change-me"}, "FLOWER_BASIC_AUTH"),
    ({"flower_basic_auth": "me:5f0c,you:secret"}, "FLOWER_BASIC_AUTH"),
    ({"broker_api": "http://guest:guest@localhost:15672/api/"}, "BROKER_API"),
    ({"flower_broker_api": "http://guest:guest@localhost:15672/api/"}, "FLOWER_BROKER_API"),
    ({"public_url": "http://train.example.com"}, "PUBLIC_URL"),
    ({"public_url": "http://10.0.0.5:8080"}, "PUBLIC_URL"),
    ({"trusted_proxies": "*"}, "TRUSTED_PROXIES"),
    ({"trusted_proxies": "10.0.0.1, 0.0.0.0/0"}, "TRUSTED_PROXIES"),
    ({"trusted_proxies": "::/0"}, "TRUSTED_PROXIES"),
    ({"allowed_origins": "*"}, "ALLOWED_ORIGINS"),
])  # fmt: skip
def test_what_everybody_knows_is_refused_by_name(change: dict[str, Any], variable: str) -> None:
    assert refused(replace(SAFE, **change)) == {variable}


def test_every_broken_rule_is_named() -> None:
    everything = replace(HOME, web_bind=f"{EVERYWHERE}:8080", flower_address=EVERYWHERE, auth_jwt_secret="secret",
                         nextauth_secret="secret", auth_jwks_url="http://a.b", auth_algorithms="none",
                         trusted_proxies="*", public_url="http://a.example")  # fmt: skip
    assert refused(everything) == {rule.variable for rule in safety.RULES}


@pytest.mark.parametrize("config", [
    BY_KEYS, BY_SECRET, replace(BY_KEYS, auth_jwks_url="http://127.0.0.1:9000/keys", nextauth_secret="n" * 32),
    replace(SAFE, nextauth_secret="n" * 32), replace(BY_KEYS, auth_algorithms="PS512, EdDSA"),
])  # fmt: skip
def test_an_outside_issuer_may_be_trusted(config: Config) -> None:
    safety.check(config)


@pytest.mark.parametrize(("config", "change", "variable"), [
    (BY_SECRET, {"auth_jwt_secret": "k" * 31}, "AUTH_JWT_SECRET"),
    (BY_SECRET, {"nextauth_secret": "n" * 31}, "NEXTAUTH_SECRET"),
    (BY_KEYS, {"auth_jwt_secret": "k" * 32}, "AUTH_JWT_SECRET"),
    (BY_SECRET, {"auth_jwt_secret": "-----BEGIN PUBLIC KEY-----" + "M" * 400}, "AUTH_JWT_SECRET"),
    (BY_KEYS, {"auth_jwks_url": "http://login.example.com/keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_jwks_url": "http://10.0.0.1/keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_jwks_url": "http://127.0.0.1.example.com/keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_jwks_url": "file:///etc/keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_jwks_url": "https:///keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_jwks_url": "https://login.example.com:99999/keys"}, "AUTH_JWKS_URL"),
    (BY_KEYS, {"auth_issuer": ""}, "AUTH_ISSUER"), (BY_KEYS, {"auth_audience": ""}, "AUTH_AUDIENCE"),
    (BY_KEYS, {"auth_audience": " , "}, "AUTH_AUDIENCE"),
    (BY_SECRET, {"auth_issuer": ""}, "AUTH_ISSUER"), (BY_SECRET, {"auth_audience": ""}, "AUTH_AUDIENCE"),
    (BY_SECRET, {"auth_issuer": "NextAuth"}, "AUTH_ISSUER"),
    (BY_KEYS, {"auth_algorithms": "RS256,HS256"}, "AUTH_ALGORITHMS"),
    (BY_KEYS, {"auth_algorithms": "none"}, "AUTH_ALGORITHMS"), (BY_KEYS, {"auth_algorithms": ""}, "AUTH_ALGORITHMS"),
])  # fmt: skip
def test_an_issuer_by_whom_anybody_could_come_is_refused(config: Config, change: dict[str, Any], variable: str) -> None:
    assert refused(replace(config, **change)) == {variable}


@pytest.mark.parametrize("change", [
    {"trusted_proxies": "127.0.0.1"}, {"public_url": "https://train.example.com"}, {"trusted_proxies": "unix"},
    {"web_bind": "unix:/run/web.sock", "trusted_proxies": "unix"},
])  # fmt: skip
def test_what_a_proxy_opens_is_open(change: dict[str, Any]) -> None:
    assert "DATABASE_URL" in refused(replace(HOME, **change))


def test_a_proxy_of_ones_own_machine_opens_nothing() -> None:
    safety.check(replace(HOME, public_url="http://localhost:8081"))


def test_every_rule_stands_in_the_guide_for_operators() -> None:
    table = (ROOT / "docs" / "deploy.md").read_text().split("\n## What does not start\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \|", table, re.MULTILINE)
    assert rows == [rule.variable for rule in safety.RULES]
    assert {sentence.partition(" ")[0] for sentence in [*safety.openings(OPENED), *safety.openings(BY_SECRET)]} <= set(
        re.findall(r"^- `([A-Z_]+)", table, re.M)
    )


def test_no_secret_is_said_in_a_refusal() -> None:
    with pytest.raises(BadConfiguration) as caught:
        safety.check(replace(SAFE, database_url="postgresql://u:minioadmin@localhost/jobs"))
    assert "minioadmin" not in caught.value.detail


def test_the_app_is_not_made_then() -> None:
    with pytest.raises(BadConfiguration, match="BROKER_URL"):
        create_app(replace(SAFE, broker_url="amqp://guest:guest@localhost/jobs"))


@pytest.mark.parametrize(("address", "is_public"), [
    ("127.0.0.1:8080", False), ("127.3.2.1", False), ("localhost:80", False), ("[::1]:8080", False),
    ("unix:/run/web.sock", False), ("0.0.0.0:8080", True), ("[::]:8080", True), (":8080", True), ("10.0.0.5:80", True),
    ("web.example.com:80", True), ("", True),
])  # fmt: skip
def test_an_address_is_public_unless_it_is_certainly_not(address: str, is_public: bool) -> None:
    assert safety.is_public(address) is is_public


def test_no_program_starts_then_and_each_says_why_in_a_sentence() -> None:
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
               "WEB_BIND": f"{EVERYWHERE}:1", "DATABASE_URL": "postgresql://u:change-me@localhost/jobs",
               "BROKER_URL": "amqp://u:33ef@localhost/jobs"}  # fmt: skip
    commands = [command for name, command in procfile().items() if name != "node"]
    started = [subprocess.Popen(["sh", "-c", f"exec {command}"], env=environ, cwd=ROOT, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True) for command in commands]  # fmt: skip
    for command, program in zip(commands, started, strict=True):
        said = program.communicate(timeout=60)[0]
        assert program.returncode, command
        assert said.startswith("Error: This would be unsafe, so nothing is started. DATABASE_URL: its password"), said
        assert said.count("\n") == 1, said


def test_what_the_operator_opens_is_told_at_start() -> None:
    assert safety.openings(SAFE) == []
    told = safety.openings(OPENED)
    assert [sentence.split(" ")[0] for sentence in told] == ["SERVE_GAMES_WITHOUT_TOKEN", "ALLOWED_ORIGINS", "WEB_BIND"]
    told = safety.openings(BY_SECRET)
    assert [sentence.split(" ")[0] for sentence in told] == ["AUTH_ISSUER", "NEXTAUTH_SECRET"]
