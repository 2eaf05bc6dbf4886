"""S3 with every fault: a finished training is stored when the fault passes, and when it stays, its files stay, too."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from coordinator.config import Config
from coordinator.storage import Storage
from services.platform import ROOT, Platform, wait_until
from services.stack import Stack
from tests.jobs import bearer
from tests.s3_faults import S3Faults
from tests.stub_trainings import stub_body, stub_environments, stub_settings
from wire.names import staging_key

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
        return subprocess.run([sys.executable, "-m", "node", *arguments], env=self.platform.env, cwd=ROOT, timeout=120,
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


@pytest.fixture(scope="module")
def platform_behind_faults(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    s3 = S3Faults(own_stack.env["S3_ENDPOINT_URL"])
    environments = stub_environments(
        tmp_path_factory.mktemp("environments"), long={"rate": 10}, big={"model_bytes": BIG}
    )
    settings = {**stub_settings(environments), "S3_PUBLIC_ENDPOINT_URL": s3.url, "SWEEP_SECONDS": "1",
                "UPLOAD_PATIENCE_SECONDS": str(PATIENCE_SECONDS), "NODE_SLOTS": "2", "WEB_WORKERS": "1"}  # fmt: skip
    with Platform(own_stack, tmp_path_factory.mktemp("platform"), settings) as running:
        running.start("web", "results", "recorder", "node")
        yield World(running, s3)


@pytest.fixture
def world(platform_behind_faults: World) -> Iterator[World]:
    yield platform_behind_faults
    platform_behind_faults.s3.mend()
    shutil.rmtree(platform_behind_faults.data / "kept", ignore_errors=True)


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


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_costs_nothing(world: World, fault: str) -> None:
    FAULTS[fault](world.s3, of=MODEL, times=1)
    run_id = world.submit()
    assert_stored(world, run_id)
    assert world.uploads(run_id) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_the_cause_and_the_files_stay_until_they_are_sent(world: World, fault: str) -> None:
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


def test_an_upload_that_is_slow_but_flows_is_not_cut_off(world: World) -> None:
    world.s3.slow(BIG / 6, of=MODEL)  # six seconds, more than the node's patience
    began = time.monotonic()
    run_id = world.submit("big")
    assert_stored(world, run_id, size=BIG)
    assert time.monotonic() - began > 5
    assert world.uploads(run_id) == 1


def test_while_s3_refuses_connections_a_training_goes_on_and_is_stored_when_it_is_back(world: World) -> None:
    run_id = world.submit("long", steps=20)
    wait_until(lambda: world.job(run_id)["state"] == "RUNNING", 30, "it to run")
    world.s3.refuse()
    wait_until(lambda: list((world.data / "attempts" / f"{run_id}.1").glob("achieved.json")), 30, "its end")
    world.s3.mend()
    assert_stored(world, run_id, steps=20)


def test_a_slot_is_free_while_files_are_kept_and_other_jobs_are_trained(world: World) -> None:
    world.s3.refuse()
    lost = [world.submit() for _ in range(3)]
    for run_id in lost:
        world.wait_for(run_id, "FAILED")
    world.s3.mend()
    world.wait_for(world.submit(), "SUCCEEDED")
    listed = world.node("resend", "--list")
    assert listed.returncode == 0
    assert sorted(line.split()[0] for line in listed.stdout.splitlines()) == sorted(lost)
    assert world.node("resend").returncode == 0
    for run_id in lost:
        assert_stored(world, run_id)


def test_a_cancel_does_not_wait_for_s3_and_what_could_not_be_stored_can_be_sent(world: World) -> None:
    run_id = world.submit("long", steps=10_000)
    wait_until(lambda: world.job(run_id)["state"] == "RUNNING", 30, "it to run")
    world.s3.swallow()
    world.cancel(run_id)
    job = world.wait_for(run_id, "CANCELLED", 30)
    wait_until(lambda: world.kept() == [f"{run_id}.1"], 20, "the files to be kept")
    world.s3.mend()
    assert world.node("resend").returncode == 0
    assert world.job(run_id)["state"] == "CANCELLED"
    assert {"model.onnx", "checkpoint.pt"} <= world.files(run_id)
    assert world.job(run_id)["last_seq"] == job["last_seq"]


def test_a_game_that_watches_later_sees_the_failure_and_then_the_success(world: World) -> None:
    world.s3.refuse()
    run_id = world.submit()
    world.wait_for(run_id, "FAILED")
    world.s3.mend()
    assert world.node("resend", run_id).returncode == 0
    stored = world.sql("SELECT frame FROM events WHERE run_id = %s ORDER BY seq", run_id)
    frames = [json.loads(frame) for (frame,) in stored]
    assert [its["seq"] for its in frames] == list(range(1, len(frames) + 1))
    assert [its["state"] for its in frames if its["msg_id"] == 2][-2:] == ["FAILED", "SUCCEEDED"]


def test_a_run_of_which_nothing_is_kept_is_named(world: World) -> None:
    run_id = world.submit()
    world.wait_for(run_id, "SUCCEEDED")
    sent = world.node("resend", run_id)
    assert (sent.returncode, sent.stdout) == (1, f"Of run {run_id} nothing is kept on this node.\n")


def test_what_is_kept_is_kept_when_s3_is_still_away(world: World) -> None:
    world.s3.answer(503, of=MODEL)
    run_id = world.submit()
    world.wait_for(run_id, "FAILED")
    wait_until(lambda: world.kept() == [f"{run_id}.1"], 20, "the files to be kept")
    wait_until(lambda: world.job(run_id)["state"] == "FAILED", 20, "the failure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(world.platform.env, "UPLOAD_PATIENCE_SECONDS", "1")
        sent = world.node("resend")
    assert sent.returncode == 1
    assert sent.stdout.splitlines()[-1].endswith("status 503. Its files stay here.")
    assert world.kept() == [f"{run_id}.1"]
    world.s3.mend()
    assert world.node("resend").returncode == 0
    assert_stored(world, run_id)


def test_an_object_that_is_gone_is_said_in_a_sentence(world: World) -> None:
    run_id = world.submit()
    assert_stored(world, run_id)
    storage = world.storage()
    ((key,),) = world.sql("SELECT key FROM artifacts WHERE run_id = %s AND kind = 'model'", run_id)
    storage.delete(key)
    answer = world.get(f"{run_id}/nn-model")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    assert answer.json()["detail"] == "The file is not in storage any more (NoSuchKey)."
    assert storage.size(staging_key(run_id, 1, "model.onnx")) is None
