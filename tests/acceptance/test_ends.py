"""How else a training can end: it fails, it is cancelled, its node is lost. What else is killed: tests/faults."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import BODY, Viewer, bearer, submit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory, reach1d: Path) -> Path:
    """The reference environment, and one whose program ends at once."""
    folder = tmp_path_factory.mktemp("environments")
    shutil.copytree(reach1d, folder / "reach1d")
    shutil.copytree(reach1d, folder / "broken")
    shutil.copy(ROOT / "tests" / "integration" / "environments" / "broken", folder / "broken" / "broken")
    manifest = json.loads((reach1d / "manifest.json").read_text())
    manifest |= {"env_id": "broken", "executable": "broken", "arguments": ["exits"]}
    (folder / "broken" / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def platform(own_corner: Stack, environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = {"ENVIRONMENTS_DIR": str(environments), "LEASE_SECONDS": "10", "SWEEP_SECONDS": "1"}
    with Platform(own_corner, tmp_path_factory.mktemp("platform"), settings) as running:
        running.start("web", "results", "recorder", "node")
        yield running


class Run:
    """A submitted job and what can be seen of it."""

    def __init__(self, platform: Platform, steps: int = 20_000, env_id: str = "reach1d") -> None:
        self.platform, self.url = platform, f"{platform.url}/api/v1/train-jobs"
        if env_id == "reach1d":
            self.run_id = submit(platform.url, platform.token, steps)["run_id"]
        else:
            body = BODY | {"env_config": {"agent_id": "1", "env_id": env_id, "num_of_areas": 8}}
            answer = requests.post(self.url, json=body, headers=bearer(platform.token), timeout=30)
            self.run_id = answer.json()["run_id"]
        self.viewer = Viewer(platform.socket_url, {"run_id": self.run_id}, platform.token)

    def ask(self, method: str = "GET", path: str = "") -> Any:
        where = f"{self.url}/{self.run_id}{path}"
        return requests.request(method, where, headers=bearer(self.platform.token), timeout=30).json()

    def processes(self) -> list[psutil.Process]:
        """Everything that names the run on its command line: shim, trainer, environment."""
        processes = psutil.process_iter(["cmdline"])
        return [process for process in processes if self.run_id in " ".join(process.info["cmdline"] or [])]

    def wait_until_running(self) -> None:
        wait_until(lambda: "RUNNING" in self.viewer.statuses, 90, "the training to run")


def test_an_environment_that_ends_at_once_fails_the_job_with_the_cause(platform: Platform) -> None:
    run = Run(platform, env_id="broken")
    viewer = run.viewer.finish()
    assert viewer.statuses[-1] == "FAILED"
    assert viewer.close_code == 1000
    assert viewer.binaries == []
    job = run.ask()
    assert job["error"].endswith(".")
    assert "environment" in job["error"]
    assert "Traceback" not in job["error"]
    assert job["log_tail"]
    assert len(job["attempts"]) == 1
    assert run.processes() == []
    assert run.ask(path="/nn-model")["code"] == "conflict"


def test_a_cancelled_training_stops_and_keeps_what_it_has_learned(platform: Platform) -> None:
    run = Run(platform, steps=500_000)
    run.wait_until_running()
    wait_until(lambda: run.viewer.metrics, 60, "a first metric")
    assert run.ask("POST", "/cancel")["cancel_requested"] is True
    viewer = run.viewer.finish()
    assert viewer.statuses[-1] == "FAILED"  # the nearest of the six words that games know
    assert viewer.told[-1]["state"] == "CANCELLED"
    assert viewer.binaries == []
    assert run.processes() == []
    assert run.ask()["state"] == "CANCELLED"


def test_a_deleted_training_stops_and_is_forgotten(platform: Platform) -> None:
    run = Run(platform, steps=500_000)
    run.wait_until_running()
    assert run.ask("DELETE") is True
    assert run.ask()["code"] == "not_found"
    wait_until(lambda: not run.processes(), 60, "the trainer to end")


def test_a_training_goes_on_elsewhere_from_its_last_stored_checkpoint(platform: Platform) -> None:
    run = Run(platform, steps=15_000)
    wait_until(lambda: run.viewer.checkpoints, 120, "a stored checkpoint")
    platform.process("node").kill()
    wait_until(lambda: run.viewer.statuses.count("SUBMITTED") == 2, 60, "the job to be queued again")
    stored = run.viewer.checkpoints[-1]["step"]
    platform.add_node("other-node")
    platform.start("other-node")
    assert run.viewer.finish().statuses[-1] == "SUCCEEDED"
    first, second = run.ask()["attempts"]
    assert first["cause"] == "Its node node was silent for 10 s."
    assert (first["start_step"], second["start_step"], second["node"]) == (0, stored, "other-node")
    check_the_curve(run, stored)
    assert run.viewer.seqs == list(range(1, len(run.viewer.seqs) + 1))
    platform.process("other-node").stop()
    platform.start("node")


def check_the_curve(run: Run, stored: int) -> None:
    """The step axis goes on without gap or overlap, though the first attempt may have trained beyond the checkpoint."""
    metrics = run.ask(path="/metrics")
    steps = [metric["step"] for metric in metrics]
    assert steps == sorted(set(steps))
    assert max(metric["step"] for metric in metrics if metric["attempt"] == 1) <= stored
    assert min(metric["step"] for metric in metrics if metric["attempt"] == 2) > stored
    assert steps[-1] >= 15_000 - 1_000
