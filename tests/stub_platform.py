"""A platform whose nodes train with the stub trainer, and a player on it: for tests of many jobs and nodes."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.jobs import bearer
from tests.stub_trainings import stub_body, stub_environments, stub_settings

SECONDS = 60
RATE = 2_000
"""Steps a second of the stub trainer."""


class StubPlatform(Platform):
    """Nodes are added and started by name. `kinds` are further environments: see tests/stub_trainings.py."""

    def __init__(self, stack: Stack, folder: Path, settings: dict[str, str], **kinds: dict[str, Any]) -> None:
        environments = stub_environments(folder / "environments", **kinds)
        super().__init__(stack, folder, stub_settings(environments) | {"WEB_WORKERS": "1"} | settings)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=bearer(self.token), timeout=30)
        answer.raise_for_status()
        return answer.json()

    def submit(self, seconds: float, env_id: str = "stub", **changes: Any) -> str:
        """A job that trains for so long, with a checkpoint every second; its run_id."""
        body = stub_body(int(seconds * RATE), env_id, **{"checkpoint_interval": RATE} | changes)
        return str(self.call("POST", "/train-jobs", body)["run_id"])

    def show(self, run_id: str) -> Any:
        return self.call("GET", f"/train-jobs/{run_id}")

    def kinds(self, run_id: str) -> list[str | None]:
        """Of its attempts, oldest first; None for one that goes on."""
        return [attempt["kind"] for attempt in self.show(run_id)["attempts"]]

    def nodes(self) -> dict[str, Any]:
        return {node["name"]: node for node in self.call("GET", "/node")}

    def until(self, state: str, *run_ids: str, seconds: float = SECONDS) -> None:
        """Until all these jobs are in that state. A failed one ends the wait."""

        def are_there() -> bool:
            shown = [self.show(run_id) for run_id in run_ids]
            assert state == "FAILED" or not [job["error"] for job in shown if job["state"] == "FAILED"]
            return {job["state"] for job in shown} == {state}

        wait_until(are_there, seconds, f"{len(run_ids)} jobs that are {state}")

    def until_trained(self, *run_ids: str, beyond: int = 0) -> None:
        """Until all these jobs have stored a checkpoint of their current attempt beyond that step."""

        def steps(run_id: str) -> int:
            its = self.call("GET", f"/train-jobs/{run_id}/files?attempt={self.show(run_id)['attempt']}")
            return max((file["step"] or 0 for file in its if file["kind"] == "checkpoint"), default=0)

        wait_until(lambda: all(steps(run_id) > beyond for run_id in run_ids), SECONDS, "a checkpoint of each job")

    def programs(self, node: str) -> list[psutil.Process]:
        """A node's own: its main process and those in which it trains, not the trainers."""
        main = psutil.Process(self.pid(node))
        return [it for it in [main, *main.children(recursive=True)] if "celery_app:node" in it.cmdline()]

    def pid(self, node: str) -> int:
        """Of the node's main process."""
        pid = self.process(node).pid
        assert pid
        return pid

    def tell_to_end(self, node: str, all_of_it: bool = False) -> None:
        """SIGTERM to its main process; or to its whole group, as a terminal does."""
        for pid in [it.pid for it in self.programs(node)] if all_of_it else [self.pid(node)]:
            os.kill(pid, signal.SIGTERM)

    def exit_code(self, node: str, seconds: float = SECONDS) -> int:
        """Once the node has ended by itself."""
        guard = self.process(node).guard
        assert guard
        wait_until(lambda: guard.poll() is not None, seconds, f"the end of node {node}")
        return int(guard.returncode)
