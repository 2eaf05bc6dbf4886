"""`make run ONCE=1` in a pipe, as continuous integration runs it: set-up apart, for that is make's part."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.platform import trainer_python
from services.ports import free_ports

pytestmark = pytest.mark.own_broker

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("DATABASE_URL", "BROKER_URL", "S3_ENDPOINT_URL")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def finished(data: Path) -> "subprocess.CompletedProcess[str]":
    """The whole run, from nothing to the trained model and the end of every process."""
    environ = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    command = [sys.executable, "-m", "scripts.run", "--once", "--data", str(data)]
    web, flower = free_ports(2, set())
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env=environ | {"WEB_BIND": f"127.0.0.1:{web}", "FLOWER_PORT": str(flower)},
    )  # fmt: skip


def test_it_ends_with_success(finished: "subprocess.CompletedProcess[str]") -> None:
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_in_a_pipe_it_prints_plain_lines(finished: "subprocess.CompletedProcess[str]") -> None:
    assert "\x1b" not in finished.stdout
    assert "\r" not in finished.stdout
    assert finished.stderr == ""


def test_it_says_where_everything_is_and_which_token_to_use(finished: "subprocess.CompletedProcess[str]") -> None:
    for word in ("API", "WebSocket", "Flower", "Token", "curl -H 'Authorization: Bearer tj_"):
        assert word in finished.stdout


def test_the_saved_model_solves_the_environment(
    finished: "subprocess.CompletedProcess[str]", data: Path, reach1d: Path
) -> None:
    model = data / "sample" / "model.onnx"
    played = subprocess.run(
        [trainer_python(), str(reach1d / "play.py"), str(model)], capture_output=True, text=True, check=True
    )
    assert float(played.stdout) > 0.8, finished.stdout


def test_it_leaves_no_process_behind(finished: "subprocess.CompletedProcess[str]", data: Path) -> None:
    left = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = [*(process.info["cmdline"] or []), *(process.info["environ"] or {}).values()]
        if process.pid != os.getpid() and any(str(data) in word for word in words):
            left.append(process.info["cmdline"])
    assert left == []
