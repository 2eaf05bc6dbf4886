"""A platform of one's own that may be hurt: real services and programs, nodes, and means to hold a job at a moment."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg2
import requests

from services.platform import ROOT, Platform, wait_until
from services.process import Process
from services.stack import Stack
from tests.faults.follower import Follower
from tests.faults.witness import Witness, found
from tests.gate import Gate
from tests.stub_trainings import stub_body, stub_environments, stub_settings

LEASE_SECONDS = 8
PROGRAMS = ("web", "results", "recorder")
STUB, REAL = "stub", "real"
"""Trainers: one that trains in milliseconds, and ML-Agents."""
LINGERING, MISTAKEN, BROKEN = "lingering", "mistaken", "broken"
KINDS: dict[str, dict[str, Any]] = {
    LINGERING: {"linger_seconds": 4},
    MISTAKEN: {"error": {"type": "TrainerConfigError", "message": "batch_size must be smaller."}},
    BROKEN: {"exit_code": 1},
}
"""Environments of the stub trainer: it stays for a while when it has written its model; it fails by its user's mistake;
it ends without a word."""
UNHURRIED = "unhurried"
"""ML-Agents in real time, as a game plays."""
QUICK, LONG = 1_000, 10_000
"""Steps of half a second, and of five."""


class Rig:
    """Nodes `node-1`, `node-2`, ... with one slot each, which all have the same trainer.

    Nodes reach the web and S3 through gates: with the one shut no attempt can be claimed, with the other no file can be
    handed in.
    """

    def __init__(self, stack: Stack, folder: Path, trainer: str = STUB, nodes: int = 2, **settings: str) -> None:
        self.stack, self.trainer, self.folder = stack, trainer, folder
        assert stack.s3
        self.uploads = Gate(stack.s3.port)
        self.platform = Platform(stack, folder, self._settings(folder) | settings)
        self.claims = Gate(int(self.platform.url.rpartition(":")[2]))
        self.nodes = [f"node-{number + 1}" for number in range(nodes)]
        self.headers: dict[str, str] = {}
        self.witness = Witness(folder, folder / "written")

    def _settings(self, folder: Path) -> dict[str, str]:
        assert self.stack.s3
        if self.trainer == STUB:
            settings = stub_settings(stub_environments(folder / "environments", **KINDS))
        else:
            settings = {"ENVIRONMENTS_DIR": str(unity_environments(folder / "environments")), "TRAINER_THREADS": "1"}
        return settings | {
            "LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": "1", "NODE_SLOTS": "1", "GRACE_SECONDS": "5",
            "S3_PUBLIC_ENDPOINT_URL": self.uploads.url(self.stack.s3.url),
        }  # fmt: skip

    def __enter__(self) -> Self:
        self.platform.__enter__()
        self.headers = {"Authorization": f"Bearer {self.platform.token}"}
        for node in self.nodes:
            self.platform.add_node(node, COORDINATOR_URL=self.claims.url(self.platform.url))
        self.platform.start(*PROGRAMS, *self.nodes)
        self.witness.start()
        wait_until(self.is_there, 60, "all nodes to say hello")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.witness.leave()
        self.platform.__exit__(kind, error, trace)
        self.claims.shut()
        self.uploads.shut()

    # ---- what games do

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """A request to the API, repeated while the web is away. None where the answer has no JSON."""
        deadline, url = time.monotonic() + 60, f"{self.platform.url}/api/v1/{path}"
        headers = self.headers | ({"Idempotency-Key": uuid4().hex} if method == "POST" else {})
        while True:
            try:
                answer = requests.request(method, url, headers=headers, timeout=10, **options)
                if answer.status_code < 500 or time.monotonic() > deadline:
                    return answer.json() if "json" in answer.headers["Content-Type"] else answer.content
            except requests.RequestException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def submit(self, env_id: str = STUB, steps: int = QUICK, **changes: Any) -> Follower:
        """A job, and a game that watches it whatever happens."""
        job = self.ask("POST", "train-jobs", json=stub_body(steps, env_id, **changes))
        assert "run_id" in job, job
        return self.follow(job["run_id"])

    def follow(self, run_id: str, seen: tuple[str, ...] = ()) -> Follower:
        """A game that watches it from now on, and has seen so much of it already."""
        return Follower(self.platform.socket_url, self.platform.token, run_id, seen)

    # ---- what can be seen of it

    def is_there(self) -> bool:
        """Whether every node runs and has just said hello."""
        seen = dict(self.query("SELECT name, last_seen_at > now() - interval '8 s' FROM nodes"))
        return all(self.process(node).running and seen.get(node) for node in self.nodes)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows, over a connection that is made for the purpose: PostgreSQL may have been away."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def connect(self) -> Any:
        url = self.stack.env["DATABASE_URL"].replace("+psycopg2", "")
        connection = psycopg2.connect(url, connect_timeout=10)
        connection.autocommit = True
        return connection

    def process(self, name: str) -> Process:
        """A program's or a service's."""
        services = {service.name: service.process for service in self.stack.services}
        return services.get(name) or self.platform.process(name)

    def forgive(self) -> None:
        """What was done to nodes is none of their faults, as somebody sees who looks at them."""
        with contextlib.closing(self.connect()) as connection:
            connection.cursor().execute("UPDATE nodes SET quarantine = NULL, checked_at = now()")

    def start(self, name: str) -> None:
        """As a supervisor does with what has ended."""
        services: Mapping[str, Callable[[], None]] = {its.name: its.start for its in self.stack.services}
        services.get(name, lambda: self.platform.start(name))()

    def node_of(self, run_id: str) -> str:
        """Where its newest attempt was claimed; before that the first node, which will have it or its like."""
        rows = self.query(
            "SELECT name FROM attempts JOIN nodes ON nodes.id = node_id WHERE run_id = %s ORDER BY number DESC", run_id
        )
        return str(rows[0][0]) if rows else self.nodes[0]

    def attempts_of(self, run_id: str) -> list[Path]:
        """The folders of its attempts that have not been handed in, on whatever node."""
        return [path for path in found(self.folder, f"node-*/attempts/{run_id}.*") if path.is_dir()]

    # ---- holding a job up

    @contextlib.contextmanager
    def no_claims(self) -> Iterator[Callable[[], None]]:
        with _shut(self.claims) as release:
            yield release

    @contextlib.contextmanager
    def no_uploads(self) -> Iterator[Callable[[], None]]:
        with _shut(self.uploads) as release:
            yield release

    @contextlib.contextmanager
    def no_endings(self) -> Iterator[Callable[[], None]]:
        """Between the copy of the files in S3 and the rows about them: a lock keeps the rows from being written."""
        with contextlib.closing(self.connect()) as connection:
            connection.autocommit = False
            connection.cursor().execute("LOCK TABLE artifacts IN SHARE MODE")
            yield connection.close


def unity_environments(folder: Path) -> Path:
    """The reference environment as it is, and in real time."""
    shutil.copytree(ROOT / "environments" / "reach1d", folder / "reach1d")
    shutil.copytree(folder / "reach1d", folder / UNHURRIED)
    manifest = folder / UNHURRIED / "manifest.json"
    its = json.loads(manifest.read_text()) | {"env_id": UNHURRIED, "arguments": ["--step-seconds", "0.05"]}
    manifest.write_text(json.dumps(its))
    return folder


@contextlib.contextmanager
def _shut(gate: Gate) -> Iterator[Callable[[], None]]:
    gate.shut()
    try:
        yield gate.open
    finally:
        gate.open()
