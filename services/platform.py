"""The Procfile's programs one by one, for tests and benchmarks that start, kill and restart them as they please.

People start them with `honcho start`; the commands are read from the same file.
"""

import base64
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from services.errors import ServiceError
from services.ports import free_ports
from services.process import Process
from services.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
SHORTEST_LOOK, LONGEST_LOOK = 0.02, 0.3
OF_THE_COORDINATOR = {"DATABASE_URL", "BROKER_URL", "BROKER_API", "FLOWER_BROKER_API", "S3_ENDPOINT_URL",
                      "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_BUCKET", "S3_REGION"}  # fmt: skip


def procfile(path: Path = ROOT / "Procfile") -> dict[str, str]:
    """The commands of a Procfile by name."""
    lines = [line.partition(":") for line in path.read_text().splitlines() if line.strip() and line[0] != "#"]
    return {name.strip(): command.strip() for name, _, command in lines}


class Platform:
    """The programs over a running stack, with a user and a node; all data and logs in `folder`."""

    def __init__(self, stack: Stack, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        web, flower, bridge = free_ports(3, set(stack.ports.values()))
        self.url = f"http://127.0.0.1:{web}"
        self.socket_url = f"ws://127.0.0.1:{web}/ws/v1/client-stream"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.env = {
            **os.environ, **stack.env, "PATH": path, "PYTHONPATH": str(ROOT), "WEB_BIND": f"127.0.0.1:{web}",
            "FLOWER_PORT": str(flower), "NODE_DATA_DIR": str(folder / "node"),
            "FLOWER_BASIC_AUTH": f"flower:{secrets.token_hex(16)}", "TRAINER_PYTHON": trainer_python(),
            "BRIDGE_ADDRESS": f"127.0.0.1:{bridge}", **(settings or {}),
        }  # fmt: skip
        self._enrolled = stack.nodes
        self._commands = procfile()
        self._nodes: dict[str, dict[str, str]] = {}
        self._processes: dict[str, Process] = {}
        self.token = ""

    def prepare(self) -> None:
        """The tables, the bucket, a user's token and a node."""
        enrolling = [] if self._known("node") in self._enrolled else ["nodes enroll node"]
        _, self.token, *said = self.run_each("db upgrade", "tokens create player", *enrolling)
        if enrolling:
            self._enrolled[self._known("node")] = enrolment(said[0])
        self._nodes["node"] = self.enroll("node")

    @property
    def node_token(self) -> str:
        return self.environment("node")["NODE_TOKEN"]

    @property
    def node_broker_url(self) -> str:
        """RabbitMQ with the node's login."""
        return self.environment("node")["BROKER_URL"]

    def environment(self, name: str) -> dict[str, str]:
        """What that program gets: a node has nothing of the coordinator's."""
        if name not in self._nodes:
            return self.env
        others = {key: value for key, value in self.env.items() if key not in OF_THE_COORDINATOR}
        return others | self._nodes[name]

    def enroll(self, name: str) -> dict[str, str]:
        """What a node of that name is told; platforms over the same services share its enrolment."""
        known = self._known(name)
        if known not in self._enrolled:
            self._enrolled[known] = enrolment(self.run(f"flask --app wsgi nodes enroll '{name}'"))
        return self._enrolled[known] | {"COORDINATOR_URL": self.url}

    def _known(self, node: str) -> tuple[str, str]:
        """Where it is known that a node is enrolled."""
        return self.env["DATABASE_URL"], node

    def run(self, command: str) -> str:
        """A command of the coordinator's, to its end; what it printed."""
        done = subprocess.run(
            command, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False,
            shell=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise ServiceError(f"`{command}` failed:\n{done.stderr[-3000:]}")
        return done.stdout.strip()

    def run_each(self, *commands: str) -> list[str]:
        """Commands of `flask --app wsgi`, one after the other in one process; what each has printed."""
        quoted = " ".join(shlex.quote(command) for command in commands)
        said: list[str] = json.loads(self.run(f"python -m scripts.commands {quoted}"))
        return said

    def add_node(self, name: str, **settings: str) -> None:
        """One more training node, with its own token, data folder and bridge; `start(name)` starts it."""
        (bridge,) = free_ports(1, set())
        self._commands[name] = self._commands["node"]
        self._nodes[name] = self.enroll(settings.get("NODE_NAME", name)) | {
            "NODE_DATA_DIR": str(self.folder / name), "BRIDGE_ADDRESS": f"127.0.0.1:{bridge}", **settings,
        }  # fmt: skip

    def start(self, *names: str) -> None:
        """Starts programs (all those named before, again) and waits until the web answers."""
        for name in names:
            self.process(name).start(["sh", "-c", f"exec {self._commands[name]}"], self.environment(name), ROOT)
        if "web" in names:
            self.process("web").wait_ready(self.is_ready, READY_SECONDS)

    def process(self, name: str) -> Process:
        """The program of that name, to be stopped, killed or looked at."""
        made = Process(name, self.folder / f"{name}.log", self.folder / f"{name}.pid")
        return self._processes.setdefault(name, made)

    def is_ready(self) -> bool:
        """Whether the web can take jobs."""
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def log(self, name: str) -> str:
        """What a program has printed so far."""
        return self.process(name).log.read_text(errors="replace")

    def stop(self) -> None:
        """Stops all that run, at the same time."""
        self._end(Process.stop)

    def kill(self) -> None:
        """SIGKILL for all that run: for tests, which need not wait for the end of what goes on."""
        self._end(Process.kill)

    def _end(self, end: Callable[[Process], None]) -> None:
        with ThreadPoolExecutor(len(self._processes) or 1) as pool:
            for ended in [pool.submit(end, process) for process in self._processes.values()]:
                ended.result()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def enrolment(said: str) -> dict[str, str]:
    """What a node is told, of what `nodes enroll` has printed."""
    code = said.split()[-1]
    told: dict[str, str] = json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
    return told


def trainer_python() -> str:
    """The Python with ML-Agents: TRAINER_PYTHON, or the one that `make setup` has made."""
    return os.environ.get("TRAINER_PYTHON") or str(ROOT / ".venv-node" / "bin" / "python")


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Returns once the condition holds; raises AssertionError naming `what` was waited for.

    Looks the more rarely, the longer it takes: to look is a request in most tests, and the machine has other work.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"Waited {seconds:.0f} s in vain for: {what}.")
        time.sleep(min(max(waited / 10, SHORTEST_LOOK), LONGEST_LOOK))
