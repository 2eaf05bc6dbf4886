"""A platform whose nodes reach S3 through faults (tests/s3_faults.py), and what a test asks of it."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import requests

from coordinator.config import Config
from coordinator.storage import Storage
from services.platform import ROOT, Platform, wait_until
from services.stack import Stack
from tests.jobs import bearer
from tests.s3_faults import S3Faults
from tests.stub_trainings import stub_body, stub_environments, stub_settings

PATIENCE_SECONDS = 2
MODEL, STEPS = "/model.onnx", 200
BIG = 2_000_000
KEPT = "Its files are kept on node node."


class World:
    """The platform, and what is asked of it."""

    def __init__(self, platform: Platform, s3: S3Faults) -> None:
        self.platform, self.s3 = platform, s3
        self.headers = bearer(platform.token)
        self.data = Path(platform.env["NODE_DATA_DIR"])

    def submit(self, env_id: str = "stub", steps: int = STEPS) -> str:
        answer = requests.post(f"{self.platform.url}/api/v1/train-jobs", json=stub_body(steps, env_id),
                               headers=self.headers, timeout=30)  # fmt: skip
        return str(answer.json()["run_id"])

    def job(self, run_id: str) -> dict[str, Any]:
        return dict(self.get(run_id).json())

    def files(self, run_id: str) -> set[str]:
        return {its["name"] for its in self.get(f"{run_id}/files").json()}

    def get(self, what: str) -> requests.Response:
        return requests.get(f"{self.platform.url}/api/v1/train-jobs/{what}", headers=self.headers, timeout=30)

    def storage(self) -> Storage:
        """S3 without faults."""
        names = [name for name in Config.__dataclass_fields__ if name.startswith("s3_")]
        return Storage(Config(**{name: self.platform.env.get(name.upper(), "") for name in names}))

    def cancel(self, run_id: str) -> None:
        requests.post(f"{self.platform.url}/api/v1/train-jobs/{run_id}/cancel", headers=self.headers, timeout=30)

    def wait_for(self, run_id: str, state: str, seconds: float = 40) -> dict[str, Any]:
        """The job, once it is in that state."""
        try:
            wait_until(lambda: self.job(run_id)["state"] == state, seconds, state)
        except AssertionError as error:
            raise AssertionError(f"{error} {self.job(run_id)}") from error
        return self.job(run_id)

    def model(self, run_id: str) -> bytes:
        answer = self.get(f"{run_id}/nn-model")
        answer.raise_for_status()
        return answer.content

    def node(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of the node's owner."""
        environ = self.platform.environment("node")
        return subprocess.run([sys.executable, "-m", "node", *arguments], env=environ, cwd=ROOT, timeout=120,
                              capture_output=True, text=True, check=False)  # fmt: skip

    def uploads(self, run_id: str) -> int:
        """How often its model was sent."""
        return sum(seen.endswith(f"{run_id}/1{MODEL}") for seen in self.s3.seen)

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.data / "kept").glob("*"))

    def is_tidy(self) -> bool:
        """Whether no attempt has left anything on the node."""
        return not any(
            path.is_dir() for place in ("attempts", "handed", "kept") for path in (self.data / place).glob("*")
        )

    def sql(self, statement: str, *values: str) -> list[Any]:
        url = self.platform.env["DATABASE_URL"].replace("+psycopg2", "")
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())


def trained(run_id: str, steps: int = STEPS, size: int = 10_000) -> bytes:
    """The model that the stub trainer writes."""
    line = f"{run_id} {steps} ".encode()
    return (line * (size // len(line) + 1))[:size]


@contextmanager
def world_behind_faults(stack: Stack, folder: Path) -> Iterator[World]:
    """With little patience, and a node of two slots."""
    s3 = S3Faults(stack.env["S3_ENDPOINT_URL"])
    kinds = {"long": {"rate": 10}, "big": {"model_bytes": BIG}}
    environments = stub_environments(folder / "environments", **kinds)
    settings = {**stub_settings(environments), "S3_PUBLIC_ENDPOINT_URL": s3.url, "SWEEP_SECONDS": "1",
                "UPLOAD_PATIENCE_SECONDS": str(PATIENCE_SECONDS), "NODE_SLOTS": "2", "WEB_WORKERS": "1"}  # fmt: skip
    with Platform(stack, folder / "platform", settings) as running:
        running.start("web", "results", "recorder", "node")
        yield World(running, s3)


@contextmanager
def mended(world: World) -> Iterator[World]:
    """The world as one test finds it, and as the next one is to find it."""
    yield world
    world.s3.mend()
    shutil.rmtree(world.data / "kept", ignore_errors=True)


def assert_stored(world: World, run_id: str, **which: int) -> None:
    """One success, its model as the trainer wrote it, nothing left on the node."""
    job = world.wait_for(run_id, "SUCCEEDED")
    assert job["error"] is None
    assert job["attempt"] == 1
    model = world.model(run_id)
    assert model == trained(run_id, **which)
    assert job["model"]["sha256"] == hashlib.sha256(model).hexdigest()
    wait_until(world.is_tidy, 20, "nothing to be left on the node")


FAULTS = {
    "cut": lambda s3, **which: s3.cut_after(4_000, **which),
    "silent": lambda s3, **which: s3.swallow(**which),
    "unavailable": lambda s3, **which: s3.answer(503, **which),
    "forbidden": lambda s3, **which: s3.answer(403, **which),
    "damaged": lambda s3, **which: s3.flip(5_000, **which),
    "missing": lambda s3, **which: s3.lose(**which),
}
CAUSES = {
    "cut": "S3 does not answer: ", "silent": "S3 does not answer: it is silent.",
    "unavailable": "S3 did not take model.onnx: status 503.", "forbidden": "S3 did not take model.onnx: status 403.",
    "damaged": "The upload's SHA-256 is ", "missing": "The node's upload is not in storage.",
}  # fmt: skip


def assert_costs_nothing(world: World, fault: str) -> None:
    """That fault, once."""
    FAULTS[fault](world.s3, of=MODEL, times=1)
    run_id = world.submit()
    assert_stored(world, run_id)
    assert world.uploads(run_id) == 2


def assert_can_be_repaired(world: World, fault: str) -> None:
    """That fault, until somebody mends it and sends the files again."""
    FAULTS[fault](world.s3, of=MODEL)
    run_id = world.submit()
    job = world.wait_for(run_id, "FAILED")
    assert CAUSES[fault] in job["error"]
    assert job["error"].endswith(KEPT)
    assert (job["model"], job["steps_trained"]) == (None, 0)
    wait_until(lambda: world.kept() == [f"{run_id}.1"], 20, "the files to be kept")
    world.s3.mend()
    sent = world.node("resend", run_id)
    assert (sent.returncode, sent.stdout.splitlines()[-1]) == (0, f"{run_id}: sent and verified.")
    assert_stored(world, run_id)
    assert world.job(run_id)["steps_trained"] == STEPS
    whole = {"model.onnx", "checkpoint.pt", "bundle.json", "trainer.log"}
    assert whole <= world.files(run_id)
