"""Trainings that are stopped, stand still, run out of time, or have lost touch: with the stub trainer, in seconds."""

import signal
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.stub_runs import (
    GRACE_SECONDS,
    IDLE_SECONDS,
    LEASE_SECONDS,
    Run,
    pool_process,
    processes_of,
    processes_of_node,
    signal_all,
    stub_platform,
)

NOTICED = LEASE_SECONDS / 10 * 2 + 2
"""Two heartbeats, and what a machine with much to do may add."""
KINDS = {"deaf": {"on_interrupt": "ignore"}, "still": {"stand_still_at": 5_000}}


@pytest.fixture(scope="module")
def platform(own_corner: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with stub_platform(own_corner, tmp_path_factory.mktemp("stub"), KINDS, NODE_SLOTS="4") as running:
        running.start("node")
        yield running


def test_cancelled_trainings_leave_no_process_and_free_their_slots(platform: Platform) -> None:
    """Two save when they are told to stop, two do not listen; a fifth waits for a slot."""
    runs = [Run(platform, env_id=env_id, num_envs=4)
            for env_id in ("stub", "stub", "deaf", "deaf")]  # fmt: skip
    for run in runs:
        run.wait_for_steps()
    queued = Run(platform)
    assert len(processes_of(*runs)) >= 4 * (1 + 1 + 4)  # shim, trainer, environments
    began = time.monotonic()
    for run in [queued, *runs]:
        run.ask("POST", "/cancel")
    assert queued.state == "CANCELLED"
    wait_until(lambda: not processes_of(*runs), GRACE_SECONDS + 5, "all processes to be gone")
    assert time.monotonic() < began + GRACE_SECONDS + 5
    for run in runs:
        run.wait_for("CANCELLED")
        assert {"model", "checkpoint", "log"} <= {*run.kinds}
        assert [it["kind"] for it in run.ask()["attempts"]] == ["cancelled"]
    four_more = [Run(platform, steps=1_000) for _ in range(4)]
    for run in four_more:
        run.wait_for("SUCCEEDED")


def test_a_training_that_stands_still_is_ended_and_started_again(platform: Platform) -> None:
    run = Run(platform, env_id="still")
    wait_until(lambda: len(run.ask()["attempts"]) == 2, 30, "the second attempt")
    first, second = run.ask()["attempts"]
    assert (first["kind"], second["kind"]) == ("stalled", None)
    assert first["cause"].startswith("The training stood still: it made no step for ")
    assert second["start_step"] >= 4_000  # it goes on from its last checkpoint
    run.ask("DELETE")
    wait_until(lambda: not processes_of(run), 20, "the deleted training to be gone")


def test_frozen_environments_are_noticed_and_the_job_goes_on(platform: Platform) -> None:
    run = Run(platform, steps=16_000)
    run.wait_for_steps()
    environments = [its for its in processes_of(run) if "sleep" in its.name()]
    signal_all(environments, signal.SIGSTOP)
    began = time.time()
    wait_until(lambda: len(run.ask()["attempts"]) == 2, 30, "the second attempt")
    run.wait_for("SUCCEEDED", seconds=60)
    first, second = run.ask()["attempts"]
    assert datetime.fromisoformat(first["ended_at"]).timestamp() - began < 3 * IDLE_SECONDS + 5
    assert (first["kind"], second["kind"]) == ("stalled", "succeeded")
    assert second["start_step"] > 0


def test_a_frozen_node_takes_no_healthy_training_for_one_that_stands_still(platform: Platform) -> None:
    """For less than the lease, its process that looks after the training is stopped; the training goes on."""
    run = Run(platform)
    run.wait_for_steps()
    (trainer, *_) = [its.pid for its in processes_of(run) if "shim.py" not in " ".join(its.cmdline())]
    pool = pool_process(platform, run)
    pool.suspend()
    assert IDLE_SECONDS + 1 < LEASE_SECONDS - 1
    time.sleep(IDLE_SECONDS + 1)
    pool.resume()
    run.wait_for_steps(more_than=run.stored + 4_000)
    assert (run.state, len(run.ask()["attempts"])) == ("RUNNING", 1)
    assert trainer in [its.pid for its in processes_of(run)]
    run.ask("DELETE")
    wait_until(lambda: not processes_of(run), 10, "the deleted training to be gone")


def test_a_training_ends_with_its_time_and_keeps_what_it_has(platform: Platform) -> None:
    run = Run(platform, time_limit=3)
    run.wait_for("FAILED")
    job = run.ask()
    assert job["error"].startswith("It was ended after its time limit of 3 s, at step ")
    assert [it["kind"] for it in job["attempts"]] == ["time_limit"]
    assert {"model", "checkpoint", "log"} <= {*run.kinds}
    assert job["steps_trained"] > 1_000


def test_the_time_of_lost_attempts_is_not_given_again(platform: Platform) -> None:
    run = Run(platform, time_limit=12)
    run.wait_for_steps()
    pool_process(platform, run).kill()
    run.wait_for("FAILED", seconds=60)
    attempts = run.ask()["attempts"]
    assert [it["kind"] for it in attempts] == ["lost", "time_limit"]
    ends = [[datetime.fromisoformat(it[when]) for when in ("claimed_at", "ended_at")] for it in attempts]
    assert 12 <= sum((end - begin).total_seconds() for begin, end in ends) < 12 + GRACE_SECONDS + 5


def test_a_node_that_was_frozen_past_its_lease_is_history(platform: Platform) -> None:
    check_that_it_becomes_history(platform, "everything")


def check_that_it_becomes_history(platform: Platform, frozen: str) -> None:
    """The job goes on at another node meanwhile; thawed, the old training is ended, and nothing of it counts."""
    old, new = f"old-{frozen[:4]}", f"new-{frozen[:4]}"
    platform.process("node").stop()
    platform.add_node(old, NODE_SLOTS="1")
    platform.start(old)
    run = Run(platform)
    run.wait_for_steps()
    trainings = [its for its in processes_of_node(platform, old) if its in processes_of(run)]
    victims = processes_of_node(platform, old) if frozen == "everything" else [pool_process(platform, run, old)]
    signal_all(victims, signal.SIGSTOP)
    platform.add_node(new, NODE_SLOTS="1")
    platform.start(new)
    try:
        wait_until(lambda: len(run.ask()["attempts"]) == 2, LEASE_SECONDS + 20, "the second attempt")
        wait_until(lambda: run.state == "RUNNING", 20, "it to run")
    finally:
        signal_all(victims, signal.SIGCONT)
    wait_until(lambda: not any(its.is_running() for its in trainings), NOTICED, "the old training to be gone")
    first, second = run.ask()["attempts"]
    assert (first["kind"], first["node"], second["node"], second["kind"]) == ("lost", old, new, None)
    follow_up = Run(platform, steps=500)
    follow_up.wait_for("SUCCEEDED")  # on the old node, whose slot is free
    assert [it["node"] for it in follow_up.ask()["attempts"]] == [old]
    assert (run.state, len(run.ask()["attempts"])) == ("RUNNING", 2)
    run.ask("POST", "/cancel")
    run.wait_for("CANCELLED")
    assert [file["attempt"] for file in run.ask(path="/files") if file["kind"] == "model"] == [2]
    platform.process(old).stop()
    platform.process(new).stop()
    platform.start("node")
