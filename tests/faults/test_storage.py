"""S3 with every fault, and programs that are killed while files wait: a finished training is never lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from services.platform import ROOT, wait_until
from services.stack import Stack
from tests.storage_world import (
    BIG,
    FAULTS,
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
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    stack = Stack(tmp_path_factory.mktemp("services"), environ={})
    stack.start()
    try:
        with world_behind_faults(stack, tmp_path_factory.mktemp("world")) as made:
            yield made
    finally:
        stack.kill()


@pytest.fixture
def world(lasting: World) -> Iterator[World]:
    with mended(lasting) as its:
        yield its


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_costs_nothing(world: World, fault: str) -> None:
    assert_costs_nothing(world, fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_the_cause_and_the_files_stay_until_they_are_sent(world: World, fault: str) -> None:
    assert_can_be_repaired(world, fault)


def has_achieved(world: World, run_id: str) -> bool:
    """Whether its training has come to its end on the node, and is packed."""
    return (world.data / "attempts" / f"{run_id}.1" / "achieved.json").exists()


def test_a_node_that_is_killed_while_it_uploads_hands_in_the_finished_training_when_it_is_back(world: World) -> None:
    world.s3.refuse()
    run_id = world.submit()
    wait_until(lambda: has_achieved(world, run_id), 30, "the training's end")
    world.platform.process("node").kill()
    world.s3.mend()
    world.platform.start("node")
    assert_stored(world, run_id)


def test_a_node_that_is_killed_before_its_files_are_verified_sends_them_again_when_it_is_back(world: World) -> None:
    world.platform.process("results").kill()
    world.s3.flip(5_000, of=MODEL, times=1)
    run_id = world.submit()
    wait_until(lambda: (world.data / "handed" / f"{run_id}.1").is_dir(), 30, "the outcome to be handed in")
    world.platform.process("node").kill()
    world.platform.start("results")
    asked = "SELECT resend FROM attempts WHERE run_id = %s AND resend IS NOT NULL"
    wait_until(lambda: world.sql(asked, run_id), 60, "the node to be asked")
    world.platform.start("node")
    assert_stored(world, run_id)


def test_results_killed_while_it_verifies_leaves_an_ending_that_is_done_later(world: World) -> None:
    run_ids = [world.submit("big") for _ in range(4)]
    for run_id in run_ids:
        wait_until(lambda run_id=run_id: world.sql(  # type: ignore[misc]
            "SELECT 1 FROM attempts WHERE run_id = %s AND outcome IS NOT NULL", run_id), 60, "its outcome")  # fmt: skip
        world.platform.process("results").kill()
        world.platform.start("results")
    for run_id in run_ids:
        world.wait_for(run_id, "SUCCEEDED", 120)
    for run_id in run_ids:
        assert_stored(world, run_id, size=BIG)


def test_a_resend_that_is_killed_is_repeated(world: World) -> None:
    world.s3.answer(503, of=MODEL)
    run_id = world.submit("big")
    world.wait_for(run_id, "FAILED")
    wait_until(lambda: world.kept() == [f"{run_id}.1"], 20, "the files to be kept")
    world.s3.slow(BIG / 20, of=MODEL)
    before = world.uploads(run_id)
    sending = subprocess.Popen([sys.executable, "-m", "node", "resend"], cwd=ROOT, stdout=subprocess.PIPE,
                               env=world.platform.environment("node"))  # fmt: skip
    wait_until(lambda: world.uploads(run_id) > before, 60, "an upload that is under way")
    busy = world.node("resend", run_id)
    assert (busy.returncode, busy.stdout) == (1, f"{run_id}: another process is sending it just now.\n")
    os.kill(sending.pid, signal.SIGKILL)
    sending.communicate()
    assert world.job(run_id)["state"] == "FAILED"
    world.s3.mend()
    assert world.node("resend").returncode == 0
    assert_stored(world, run_id, size=BIG)


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
