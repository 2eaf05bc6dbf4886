"""Runs on a platform whose nodes train with the stub trainer, and the processes of both, for tests that hurt them."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.jobs import bearer
from tests.stub_platform import StubPlatform
from tests.stub_trainings import stub_body

LEASE_SECONDS, GRACE_SECONDS, IDLE_SECONDS = 6, 3, 3
SETTINGS = {
    "LEASE_SECONDS": str(LEASE_SECONDS), "GRACE_SECONDS": str(GRACE_SECONDS), "IDLE_SECONDS": str(IDLE_SECONDS),
    "SWEEP_SECONDS": "0.5",
}  # fmt: skip
ENDLESS = 100_000_000


@contextmanager
def stub_platform(stack: Stack, folder: Path, kinds: dict[str, Any], **settings: str) -> Iterator[Platform]:
    """Without a node yet; its environments are `stub` and those of `kinds`."""
    with StubPlatform(stack, folder / "platform", SETTINGS | settings, **kinds) as running:
        running.start("web", "results", "recorder")
        yield running


class Run:
    """A submitted job and what can be seen of it."""

    def __init__(self, platform: Platform, steps: int = ENDLESS, env_id: str = "stub", **changes: Any) -> None:
        changes.setdefault("checkpoint_interval", 1_000)
        self.platform, self.url = platform, f"{platform.url}/api/v1/train-jobs"
        answer = requests.post(
            self.url, json=stub_body(steps, env_id, **changes), headers=bearer(platform.token), timeout=30
        )
        assert answer.status_code == 200, answer.text
        self.run_id = str(answer.json()["run_id"])

    def ask(self, method: str = "GET", path: str = "") -> Any:
        answer = requests.request(
            method, f"{self.url}/{self.run_id}{path}", headers=bearer(self.platform.token), timeout=30
        )
        return answer.json()

    @property
    def state(self) -> str:
        return str(self.ask()["state"])

    @property
    def kinds(self) -> Counter[str]:
        """The kinds of its files."""
        return Counter(file["kind"] for file in self.ask(path="/files"))

    def wait_for(self, *states: str, seconds: float = 30) -> None:
        wait_until(lambda: self.state in states, seconds, f"run {self.run_id} to be {' or '.join(states)}")

    @property
    def stored(self) -> int:
        """Step of its newest stored checkpoint; 0 while there is none."""
        return max((file["step"] for file in self.ask(path="/files") if file["kind"] == "checkpoint"), default=0)

    def wait_for_steps(self, more_than: int = 0) -> None:
        wait_until(lambda: self.stored > more_than, 30, f"run {self.run_id} to store a checkpoint")


def processes_of(*runs: Run) -> list[psutil.Process]:
    """Everything of their trainings: what names a run on its command line, and what that has started."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline"]):
        if any(run.run_id in " ".join(process.info["cmdline"] or []) for run in runs):
            with_children = [process, *_children(process)]
            found |= {its.pid: its for its in with_children if _is_alive(its)}
    return list(found.values())


def processes_of_node(platform: Platform, name: str = "node") -> list[psutil.Process]:
    """Its main process, its pool, its bridge, and its trainings."""
    pid = platform.process(name).pid
    assert pid
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def pool_process(platform: Platform, run: Run, name: str = "node") -> psutil.Process:
    """The process of the node's pool that looks after that run: the parent of its shim."""
    node = {its.pid for its in processes_of_node(platform, name)}
    (shim,) = [its for its in processes_of(run) if its.pid in node and "shim.py" in " ".join(its.cmdline())]
    found = shim.parent()
    assert found
    return found


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
