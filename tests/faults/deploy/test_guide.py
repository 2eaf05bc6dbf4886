"""docs/deploy.md is followed to the letter, from nothing to trainings over TLS."""

import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests

from coordinator.config import Config
from coordinator.storage import Storage
from services.platform import ROOT, procfile
from services.ports import answers
from tests.certificates import authority
from tests.faults.deploy.guide import GUIDE, NODE, Machine, block
from tests.faults.deploy.postgres_tls import tls_before
from tests.jobs import bearer

FILES = {"DATABASE_URL": "database-url", "BROKER_URL": "broker-url", "S3_ACCESS_KEY_ID": "s3-key",
         "S3_SECRET_ACCESS_KEY": "s3-secret", "FLOWER_BASIC_AUTH": "flower-login", "BROKER_API": "broker-api",
         "FLOWER_BROKER_API": "broker-api"}  # fmt: skip


def test_secrets_lie_in_files_that_root_writes_and_the_programs_group_reads(machine: Machine) -> None:
    given = {name.removesuffix("_FILE"): Path(path) for name, path in machine.platform.of_the_guide.items()
             if name.endswith("_FILE") and name != "BROKER_CA_FILE"}  # fmt: skip
    assert {name: path.name for name, path in given.items()} == FILES
    assert {path.stat().st_mode & 0o777 for path in given.values()} == {0o640}
    assert {path.stat().st_gid for path in given.values()} == {machine.conf.stat().st_gid}
    assert machine.conf.stat().st_mode & 0o7777 == 0o2750
    keys = [*(machine.conf / "tls").glob("*.key"), machine.folder / "rabbitmq-tls" / "rabbitmq.key"]
    assert {path.stat().st_mode & 0o077 for path in keys} == {0}


def test_a_unit_runs_what_the_procfile_says() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("Start", "ini"))
    its = unit["Service"]
    assert its["ExecStart"] == f"{its['WorkingDirectory']}/.venv/bin/{procfile()['web']}"
    assert its["EnvironmentFile"] == "/etc/train-jobs/environment"
    enabled = block("Start", number=1).split()[3:]
    assert enabled == [f"train-jobs-{name}" for name in ("web", "results", "recorder", "flower")]


def test_the_first_people_are_made(machine: Machine) -> None:
    token = machine.follow(block("First people")).split()[-1]
    its = machine.me(token).json()
    assert (its["name"], its["is_operator"]) == ("admin", True)
    url = f"https://127.0.0.1:{machine.web}/api/v1/users"
    made = requests.post(url, json={"name": "bea"}, headers=bearer(token), verify=str(machine.ca), timeout=10).json()
    its = machine.me(made["token"]).json()
    assert (its["name"], its["is_operator"]) == ("bea", False)


def test_all_of_it_speaks_tls(machine: Machine) -> None:
    machine.still_trains()
    assert not answers(machine.stack.ports["RABBITMQ_PORT"])
    found = requests.get(f"{machine.read('BROKER_API')}connections", timeout=20).json()
    names = {it.get("client_properties", {}).get("connection_name", "").partition("@")[0].partition(":")[0]
             for it in found if it.get("ssl")}  # fmt: skip
    assert {"results", "recorder", f"node {NODE}"} <= names
    assert {it["ssl"] for it in found if "ssl" in it} == {True}


def test_the_proxy_before_s3_takes_files_that_are_larger_than_a_request(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", machine.read("AWS_CA_BUNDLE"))
    storage, content = Storage(Config.from_environment(machine.platform.env)), os.urandom(3_000_000)
    answer = requests.put(storage.upload_link("large"), data=content, verify=str(machine.ca), timeout=60)
    assert answer.status_code == 200, answer.text
    assert storage.size("large") == len(content)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(storage.download_link("large"), timeout=10)


def test_the_proxy_speaks_tls_and_says_who_asks(machine: Machine) -> None:
    url = f"https://127.0.0.1:{machine.web}"
    local, ca = machine.platform.run("flask --app wsgi tokens create dev --loopback-only"), str(machine.ca)
    answer = requests.get(f"{url}/livez", verify=ca, timeout=10)
    assert answer.headers["Strict-Transport-Security"]
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}):
        refused = requests.get(f"{url}/api/v1/me", headers=bearer(local) | headers, verify=ca, timeout=10)
        assert "own machine only" in refused.json()["detail"]


def test_a_game_watches_through_the_proxy(machine: Machine) -> None:
    said = list(iter(machine.watch(machine.platform.submit(0.3)).recv, ""))
    assert isinstance(said[-1], bytes)


def test_the_coordinator_takes_a_database_whose_certificate_is_vouched_for_and_no_other(
    machine: Machine, tmp_path: Path
) -> None:
    (suffix,) = re.findall(r"`(\?sslmode=\S+)`", GUIDE)
    tls, port = machine.conf / "tls", machine.stack.ports["POSTGRES_PORT"]
    with tls_before(port, tls / "postgres.pem", tls / "postgres.key") as front:
        url = machine.read("DATABASE_URL").replace(f":{port}/", f":{front}/") + suffix
        env = machine.platform.env | {"DATABASE_URL_FILE": str(tmp_path / "url")}
        said = {}
        for name, ca in (("ours", machine.ca), ("another", authority(tmp_path / "another").ca)):
            (tmp_path / "url").write_text(url.replace("/etc/train-jobs/tls/ca.pem", str(ca)))
            said[name] = subprocess.run(["flask", "--app", "wsgi", "users", "list"], env=env, cwd=ROOT,
                                        capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert "player" in said["ours"].stdout
    assert "certificate verify failed" in said["another"].stderr
