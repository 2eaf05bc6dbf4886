"""Nodes that have different things, and jobs that ask for them: who waits says for what, and who fits trains."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from node.inventory import packages_of
from node.trainers.base import TRAINERS
from services.platform import ROOT, Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import BODY


@pytest.fixture(scope="module")
def platform(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything but a node."""
    with Platform(own_stack, tmp_path_factory.mktemp("platform"), {"WEB_WORKERS": "1"}) as running:
        running.start("web", "results", "recorder")
        yield running


class Player:
    """Submits jobs and looks at them."""

    def __init__(self, platform: Platform) -> None:
        self._url = f"{platform.url}/api/v1/"
        self._headers = {"Authorization": f"Bearer {platform.token}"}

    def submit(self, **requires: Any) -> str:
        answer = requests.post(
            f"{self._url}train-jobs", json=BODY | {"requires": requires}, headers=self._headers, timeout=10
        )
        answer.raise_for_status()
        return str(answer.json()["run_id"])

    def show(self, run_id: str) -> Any:
        return requests.get(f"{self._url}train-jobs/{run_id}", headers=self._headers, timeout=10).json()

    def cancel(self, run_id: str) -> None:
        requests.post(f"{self._url}train-jobs/{run_id}/cancel", headers=self._headers, timeout=10).raise_for_status()

    def nodes(self) -> dict[str, Any]:
        found = requests.get(f"{self._url}node", headers=self._headers, timeout=10).json()
        return {node["name"]: node["has"] for node in found}

    def until_it_waits_for(self, run_id: str, why: str | None) -> None:
        wait_until(lambda: self.show(run_id)["waiting_for"] == why, 20, f"a job that says: {why}")

    def until_it_runs_on(self, run_id: str, node: str) -> None:
        wait_until(lambda: [it["node"] for it in self.show(run_id)["attempts"]] == [node], 60, f"a job on {node}")


def played_python(folder: Path, gpus: list[str]) -> str:
    """A Python that has all trainers and these GPUs, and whose trainings last until they are stopped."""
    packages = {package: "1.0" for trainer in TRAINERS for package in packages_of(trainer)}
    answer = json.dumps({"python": "3.11.0", "packages": packages, "gpus": gpus})
    program = folder / f"python-with-{len(gpus)}-gpus"
    program.write_text(f"#!/bin/sh\nif [ \"$1\" = -c ]; then echo '{answer}'; else exec sleep 600; fi\n")
    program.chmod(0o755)
    return str(program)


def test_jobs_wait_with_a_reason_and_go_to_the_nodes_that_have_what_they_ask_for(platform: Platform) -> None:
    player = Player(platform)
    anywhere, in_the_lab = player.submit(), player.submit(labels=["lab-1"])
    with_a_gpu, huge = player.submit(gpu=True), player.submit(memory_mb=16_000_000)
    player.until_it_waits_for(anywhere, "No node is there.")
    player.until_it_waits_for(in_the_lab, "No node is there.")

    platform.add_node("plain", NODE_MEMORY_MB="3000", TRAINER_PYTHON=played_python(platform.folder, []))
    platform.start("plain")
    player.until_it_runs_on(anywhere, "plain")
    player.until_it_waits_for(in_the_lab, "No node has the label 'lab-1'.")
    player.until_it_waits_for(with_a_gpu, "No node has a GPU.")
    player.until_it_waits_for(huge, "No node has 16000000 MB of memory for a job; the largest has 3000 MB.")

    python = played_python(platform.folder, ["Played GPU"])
    platform.add_node("lab", NODE_LABELS="lab-1, a100", NODE_SLOTS="2", NODE_MEMORY_MB="1000", TRAINER_PYTHON=python,
                      TRAINER_DEVICE="cuda:0")  # fmt: skip
    platform.start("lab")
    player.until_it_runs_on(in_the_lab, "lab")
    player.until_it_runs_on(with_a_gpu, "lab")
    assert player.show(in_the_lab)["waiting_for"] is None
    queued = player.submit(labels=["lab-1"])
    player.until_it_waits_for(queued, "All nodes that fit are busy.")
    player.cancel(in_the_lab)
    player.until_it_runs_on(queued, "lab")
    has = player.nodes()
    assert (has["lab"]["labels"], has["lab"]["gpus"], has["plain"]["gpus"]) == (["a100", "lab-1"], ["Played GPU"], [])
    for run_id in (anywhere, with_a_gpu, queued, huge):
        player.cancel(run_id)
        wait_until(lambda its=run_id: player.show(its)["state"] == "CANCELLED", 60, "the end of a job")


def check(platform: Platform, *options: str, **settings: str) -> tuple[int, str]:
    """`python -m node check` as an owner runs it: its exit code and what it says."""
    command = [sys.executable, "-m", "node", "check", *options]
    data = str(platform.folder / "checked")
    environ = {**platform.environment("node"), "NODE_DATA_DIR": data, "TRAINER_THREADS": "1", **settings}
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(Path(data).glob("check-*"))
    return done.returncode, done.stdout


def test_the_check_of_a_machine_that_can_train_tries_everything(platform: Platform) -> None:
    code, said = check(platform)
    assert code == 0, said
    lines = said.splitlines()
    assert lines[-1] == "This machine can train."
    assert not [line for line in lines if line.startswith("✗")]
    for word in ("knows this node", "RabbitMQ at", "S3 at", "Trainer mlagents: mlagents 1.1.0", "The clocks differ",
                 "gave a model that can be used"):  # fmt: skip
        assert [line for line in lines if line.startswith("✓") and word in line], word


def test_the_check_says_what_is_wrong_and_goes_on(platform: Platform) -> None:
    broker = platform.node_broker_url.replace("://node-", "://nobody-")
    python = str(platform.folder / "no-python")
    code, said = check(platform, NODE_TOKEN="wrong", BROKER_URL=broker, TRAINER_PYTHON=python, TRAINER_DEVICE="tpu")
    crosses = [line for line in said.splitlines() if line.startswith("✗")]
    assert (code, len(crosses)) == (1, 4), said
    for word in ("TRAINER_DEVICE", "cannot be started", "refuses this node: ", "RabbitMQ"):
        assert [line for line in crosses if word in line], (word, crosses)
    assert broker not in said
    assert said.splitlines()[-1] == "This machine cannot train yet: 4 things are missing."
