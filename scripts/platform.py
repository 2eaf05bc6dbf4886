"""The Procfile's programs under honcho, as a development machine runs them: one log, one start, one end."""

import hashlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run
from typing import Any

import requests

from services.errors import TAIL_LINES, ServiceError
from services.kept import Kept
from services.ports import require_free
from services.process import Process

ROOT = Path(__file__).resolve().parent.parent
NODE = "local"
USER = "developer"
READY_SECONDS = 120.0
# honcho asks its programs to end and kills them after five seconds; we wait a little longer than that.
GRACE_SECONDS = 12.0
STOPPED = re.compile(r"system\s+\| (\w+)\.1 stopped \(rc=")


class Platform:
    """Web, results, recorder, node and Flower over services that run."""

    def __init__(self, data_dir: Path, service_env: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "logs" / "platform.log"
        self.env = environment(data_dir, service_env)
        self.kept = Kept(data_dir / "tokens.json")
        self.url = f"http://{self.env['WEB_BIND']}"
        self.flower_url = f"http://127.0.0.1:{self.env['FLOWER_PORT']}"
        self.process = Process(
            "The platform", self.log, data_dir / "run" / "platform.pid", signal.SIGTERM, GRACE_SECONDS
        )
        self.token = ""
        self.started_at = datetime.now(UTC)

    def prepare(self) -> None:
        """Remains of a killed run, ports, tables and tokens."""
        self.process.clear_leftover()
        require_free(int(self.env["WEB_BIND"].rpartition(":")[2]), "the API", "WEB_BIND")
        require_free(int(self.env["FLOWER_PORT"]), "Flower", "FLOWER_PORT")
        self.flask("db", "upgrade")
        database = self.env["DATABASE_URL"]
        self.token = self.kept.get(f"developer at {database}", self._developers_token)
        self._enroll(f"{database} {self.env['BROKER_URL']}")

    def _enroll(self, where: str) -> None:
        """Once for each database and broker; what the node was told is kept in a file that the node reads."""
        file = self.data_dir / f"node-{hashlib.sha256(where.encode()).hexdigest()[:12]}.env"
        if not file.exists():
            self.flask("nodes", "enroll", NODE, "--to", str(file))
        self.env["NODE_SETTINGS"] = str(file)

    def _developers_token(self) -> str:
        """It is printed on the screen and kept in a file, so it is good on this machine only."""
        return self.flask("tokens", "create", USER, "--scope", "admin", "--name", "make run", "--loopback-only")

    def start(self) -> None:
        """Start all and wait until the web takes jobs and the node has said hello."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        self.started_at = datetime.now(UTC)
        honcho = [sys.executable, "-m", "honcho", "--no-colour", "--env", os.devnull, "start"]
        try:
            self.process.start(honcho, self.env, ROOT)
            self.process.wait_ready(lambda: self.is_web_ready() and self.is_node_ready(), READY_SECONDS)
        except ServiceError as error:
            raise ServiceError(self.death() or str(error)) from None

    def stop(self) -> None:
        """Ask all to end and wait; what does not is killed."""
        self.process.stop()

    def flask(self, *command: str) -> str:
        """A command of the coordinator's; what it printed."""
        flask = [sys.executable, "-m", "flask", "--app", "wsgi", *command]
        done = run(flask, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            tail = "\n".join(f"  | {line}" for line in done.stderr.strip().splitlines()[-TAIL_LINES:])
            raise ServiceError(f"`flask {' '.join(command)}` failed:\n{tail}")
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def is_web_ready(self) -> bool:
        """Whether the API can take jobs."""
        return self._get("/readyz") is not None

    def is_node_ready(self) -> bool:
        """Whether the node has said hello since we started."""
        nodes: list[dict[str, str]] = self._get("/api/v1/node") or []
        for node in nodes:
            seen = node["last_seen_at"]
            if node["name"] == NODE and seen and datetime.fromisoformat(seen) >= self.started_at:
                return True
        return False

    def death(self) -> str:
        """Which program ended first, with its last words; empty when none did."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        found = next((match for line in lines if (match := STOPPED.search(line))), None)
        if found is None:
            return ""
        name = found[1]
        said = [line for line in lines if f" {name}.1" in line.partition("|")[0]][-TAIL_LINES:]
        return f"The program `{name}` ended. Its last lines in {self.log}:\n" + "\n".join(
            f"  | {line}" for line in said
        )

    def _get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = requests.get(self.url + path, headers=headers, timeout=5)
        except requests.RequestException:
            return None
        return answer.json() if answer.ok else None


def environment(data_dir: Path, service_env: Mapping[str, str]) -> dict[str, str]:
    """The programs' variables: those of the terminal, then the services', then defaults of a development machine."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    given = {**os.environ, **service_env, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    bind = given.get("WEB_BIND") or "127.0.0.1:8080"
    defaults = {
        "WEB_BIND": bind,
        "FLOWER_PORT": "5555",
        "FLOWER_BASIC_AUTH": f"flower:{Kept(data_dir / 'tokens.json').get('flower_password')}",
        "NODE_DATA_DIR": str(data_dir / "node"),
        "TRAINER_PYTHON": str(ROOT / ".venv-node" / "bin" / "python"),
    }
    return {**defaults, **given}
