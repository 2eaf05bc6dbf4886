"""A node goes and comes back in the middle of trainings: told to end, or killed. With the stub trainer."""

from collections.abc import Iterator

import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.own_services import own_stack
from tests.stub_platform import StubPlatform

__all__ = ["own_stack"]  # a fixture


@pytest.fixture(scope="module")
def platform(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubPlatform]:
    """With a node of two slots."""
    with StubPlatform(own_stack, tmp_path_factory.mktemp("nodes") / "platform", {"NODE_SLOTS": "2"}) as running:
        running.start("web", "results", "recorder", "node")
        yield running


def test_a_node_that_is_told_to_end_hands_over_and_goes_on_after_a_restart(platform: StubPlatform) -> None:
    jobs = [platform.submit(600), platform.submit(600)]
    platform.until_trained(*jobs)
    platform.tell_to_end("node")
    assert platform.exit_code("node") == 0
    platform.start("node")
    goes_on_from_a_checkpoint(platform, "drained", "Its node node was told to stop.", *jobs)


def test_a_node_that_was_killed_says_at_its_start_what_it_was_running(platform: StubPlatform) -> None:
    jobs = [platform.submit(600), platform.submit(600)]
    platform.until_trained(*jobs)
    platform.process("node").kill()
    platform.start("node")
    goes_on_from_a_checkpoint(platform, "lost", "Its node node was restarted during the training.", *jobs)


def goes_on_from_a_checkpoint(platform: StubPlatform, kind: str, cause: str, *jobs: str) -> None:
    """Each job's second attempt does; the cause of the first one's end is not that its lease ran out."""
    wait_until(lambda: all(len(platform.kinds(run_id)) == 2 for run_id in jobs), 60, "a second attempt of each job")
    for run_id in jobs:
        first, second = platform.show(run_id)["attempts"]
        assert (first["kind"], first["cause"], second["start_step"] >= 2_000) == (kind, cause, True)
        platform.call("POST", f"/train-jobs/{run_id}/cancel")
    platform.until("CANCELLED", *jobs)
