"""S3 with faults: a finished training is stored when the fault passes, and when it stays, its files stay, too.

The other faults, and programs that are killed meanwhile, are in tests/faults/test_storage.py.
"""

import time
from collections.abc import Iterator

import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.storage_world import (
    BIG,
    MODEL,
    World,
    assert_can_be_repaired,
    assert_costs_nothing,
    assert_stored,
    mended,
    world_behind_faults,
)  # fmt: skip
from wire.names import staging_key


@pytest.fixture(scope="module")
def lasting(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_behind_faults(own_stack, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def world(lasting: World) -> Iterator[World]:
    with mended(lasting) as its:
        yield its


@pytest.mark.parametrize("fault", ["silent", "missing"])
def test_a_fault_that_passes_costs_nothing(world: World, fault: str) -> None:
    assert_costs_nothing(world, fault)


@pytest.mark.parametrize("fault", ["cut", "damaged"])
def test_a_fault_that_stays_is_the_cause_and_the_files_stay_until_they_are_sent(world: World, fault: str) -> None:
    assert_can_be_repaired(world, fault)


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
