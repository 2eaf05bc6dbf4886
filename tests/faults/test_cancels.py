"""Many trainings cancelled at once, and a node of which one process alone was frozen: with the stub trainer."""

import time
from collections.abc import Iterator

import pytest

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.test_stopping import KINDS, check_that_it_becomes_history
from tests.own_services import own_stack
from tests.stub_runs import Run, processes_of, stub_platform

__all__ = ["own_stack"]  # a fixture
SLOTS, GRACE_SECONDS = 20, 10


@pytest.fixture(scope="module")
def platform(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = {"NODE_SLOTS": str(SLOTS), "GRACE_SECONDS": str(GRACE_SECONDS), "LEASE_SECONDS": "20"}
    with stub_platform(own_stack, tmp_path_factory.mktemp("stub"), KINDS, **settings) as running:
        running.start("node")
        yield running


def test_twenty_cancelled_trainings_are_gone_within_their_grace_and_five_seconds(platform: Platform) -> None:
    """With four environments each; every other one does not listen. DELETE stops them just as well."""
    runs = [Run(platform, env_id=env_id, num_envs=4) for _ in range(SLOTS // 2) for env_id in ("stub", "deaf")]
    wait_until(lambda: all(run.stored for run in runs), 240, "all to train")
    queued = [Run(platform) for _ in range(5)]
    assert len(processes_of(*runs)) >= SLOTS * (1 + 1 + 4)
    began = time.monotonic()
    for run in [*queued, *runs[:-2]]:
        run.ask("POST", "/cancel")
    for run in runs[-2:]:
        run.ask("DELETE")
    assert {run.state for run in queued} == {"CANCELLED"}
    wait_until(lambda: not processes_of(*runs), GRACE_SECONDS + 5, "all processes to be gone")
    print(f"After {time.monotonic() - began:.1f} s no process was left.")
    for run in runs[:-2]:
        run.wait_for("CANCELLED", seconds=60)
        assert "checkpoint" in run.kinds
    with_model = sum("model" in run.kinds for run in runs[:-2])
    print(f"After {time.monotonic() - began:.1f} s all were CANCELLED; {with_model} of 18 have their model so far.")
    again = [Run(platform, steps=1_000) for _ in range(SLOTS)]
    for run in again:
        run.wait_for("SUCCEEDED", seconds=120)


def test_a_process_of_the_pool_that_was_frozen_past_its_lease_is_history(platform: Platform) -> None:
    check_that_it_becomes_history(platform, "pool process")
