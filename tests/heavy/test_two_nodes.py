"""Two environments in two versions, uploaded as a studio does and trained on two nodes; a run that changes nodes."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from services.platform import ROOT, Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import BODY, Viewer, bearer

BUILDS = [("walker", "1.0.0"), ("walker", "1.1.0"), ("runner", "1.0.0"), ("runner", "2.0.0")]
SECONDS = 150


@pytest.fixture(scope="module")
def platform(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory, reach1d: Path) -> Iterator[Platform]:
    with Platform(own_stack, tmp_path_factory.mktemp("platform"), {"LEASE_SECONDS": "10"}) as running:
        running.add_node("east")
        running.add_node("west")
        running.start("web", "results", "recorder", "east", "west")
        for env_id, version in BUILDS:
            upload(running, made_from(reach1d, tmp_path_factory.mktemp("build"), env_id, version), env_id, version)
        yield running


def made_from(reach1d: Path, folder: Path, env_id: str, version: str) -> Path:
    """The reference environment under another name; its version shows in the configuration it brings."""
    build = folder / env_id
    shutil.copytree(reach1d, build, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = json.loads((build / "manifest.json").read_text()) | {"env_id": env_id, "version": version}
    (build / "manifest.json").write_text(json.dumps(manifest))
    configuration = (build / "Reach1D.yaml").read_text()
    (build / "Reach1D.yaml").write_text(configuration.replace("hidden_units: 64", f"hidden_units: {units(version)}"))
    return build


def units(version: str) -> int:
    return {"1.0.0": 32, "1.1.0": 48, "2.0.0": 64}[version]


def upload(platform: Platform, build: Path, env_id: str, version: str) -> None:
    command = [sys.executable, "-m", "sample.upload", str(build), "--env-id", env_id, "--version", version]
    environ = platform.env | {"URL": platform.url, "TOKEN": platform.token}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def stop_in_order(platform: Platform, name: str) -> None:
    """SIGTERM to all of a node's worker, as a terminal or a container's stop sends it: it saves and hands in."""
    guard = platform.process(name).pid
    assert guard
    for process in psutil.Process(guard).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "celery_app:node" in process.cmdline():
                process.terminate()
    platform.process(name).stop()


class Run:
    """A submitted job and what can be seen of it."""

    def __init__(self, platform: Platform, env_id: str, steps: int, **more: Any) -> None:
        self.url, self.headers = f"{platform.url}/api/v1/train-jobs", bearer(platform.token)
        body = BODY | {
            "env_config": {"agent_id": "1", "env_id": env_id, "num_of_areas": 8},
            "nn_model_config": {"behavior_name": "Reach1D", "steps": steps}, "seed": 1,
        }  # fmt: skip
        answer = requests.post(self.url, json=body | more, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        self.run_id = answer.json()["run_id"]
        self.viewer = Viewer(platform.socket_url, {"run_id": self.run_id}, platform.token)

    def get(self, path: str = "") -> Any:
        answer = requests.get(f"{self.url}/{self.run_id}{path}", headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def finished(platform: Platform) -> dict[str, Run]:
    """One run in each of the builds: three by name and version, one by its name alone."""
    runs = {name: Run(platform, name, 2_000) for name in ("walker@1.0.0", "walker", "runner@1.0.0", "runner@2.0.0")}
    for run in runs.values():
        run.viewer.finish()
    return runs


def test_each_run_trained_in_the_build_it_named(finished: dict[str, Run]) -> None:
    versions = {name: run.get()["env_version"] for name, run in finished.items()}
    assert versions == {"walker@1.0.0": "1.0.0", "walker": "1.1.0", "runner@1.0.0": "1.0.0", "runner@2.0.0": "2.0.0"}
    for name, run in finished.items():
        assert run.viewer.statuses[-1] == "SUCCEEDED", run.get()["error"]
        network = run.get("/configuration")["behaviors"]["Reach1D"]["network_settings"]
        assert network["hidden_units"] == units(versions[name])


def test_both_nodes_took_part_and_checked_what_they_ran_first(platform: Platform, finished: dict[str, Run]) -> None:
    assert {run.get()["attempts"][0]["node"] for run in finished.values()} == {"east", "west"}
    for env_id in ("walker", "runner"):
        answer = requests.get(
            f"{platform.url}/api/v1/environments/{env_id}", headers=bearer(platform.token), timeout=30
        )
        checks = [check for version in answer.json()["versions"] for check in version["checks"]]
        assert checks
        assert not [check for check in checks if check["error"]]


def test_a_version_that_is_not_there_is_refused_with_those_that_are(platform: Platform) -> None:
    body = BODY | {"env_config": {"agent_id": "1", "env_id": "walker@3.0.0", "num_of_areas": 8}}
    url = f"{platform.url}/api/v1/train-jobs"
    answer = requests.post(url, json=body, headers=bearer(platform.token), timeout=30)
    assert answer.status_code == 422
    assert "1.1.0" in answer.json()["detail"]


def test_a_run_that_is_stopped_goes_on_at_the_other_node_where_it_stopped(
    platform: Platform, finished: dict[str, Run]
) -> None:
    run = Run(platform, "walker", 20_000, checkpoint_interval=2_000)
    wait_until(lambda: len(run.viewer.metrics) >= 3, SECONDS, "the training to be on its way")
    first = run.get()["attempts"][0]["node"]
    stop_in_order(platform, first)
    run.viewer.finish()
    job = run.get()
    assert job["state"] == "SUCCEEDED", job["error"]
    nodes = [attempt["node"] for attempt in job["attempts"]]
    assert nodes[0] == first
    assert nodes[-1] != first
    steps = [metric["step"] for metric in run.get("/metrics")]
    assert steps == sorted(set(steps))
    assert steps[-1] >= 20_000 - 1_000
    platform.start(first)


def test_the_other_node_trains_exactly_as_many_more_when_asked(platform: Platform, finished: dict[str, Run]) -> None:
    run = finished["runner@2.0.0"]
    before = run.get()
    platform.process(before["attempts"][0]["node"]).stop()
    body = BODY | {
        "run_id": run.run_id, "env_config": {"agent_id": "1", "env_id": "runner@2.0.0", "num_of_areas": 8},
        "nn_model_config": {"behavior_name": "Reach1D", "steps": 3_000},
    }  # fmt: skip
    assert requests.post(run.url, json=body, headers=run.headers, timeout=30).status_code == 200
    Viewer(platform.socket_url, {"run_id": run.run_id}, platform.token).finish()
    after = run.get()
    assert (after["state"], after["job_type"]) == ("SUCCEEDED", "RESUME")
    assert after["attempts"][-1]["node"] != before["attempts"][0]["node"]
    assert before["steps_trained"] + 3_000 <= after["steps_trained"] < before["steps_trained"] + 3_000 + 600
    steps = [metric["step"] for metric in run.get("/metrics")]
    assert steps == sorted(set(steps))
