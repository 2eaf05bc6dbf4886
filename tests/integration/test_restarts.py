"""The web goes and comes back while trainings run: every game resumes with `after`, and nothing is lost in between."""

from collections.abc import Iterator

import pytest

from services.platform import Platform
from tests.acceptance.viewers import Viewer
from tests.integration.live import new_run, watch
from tests.jobs import metric, phase
from tests.stub_node import MODEL, StubNode

GOING_AWAY, WITHOUT_A_WORD = 1012, 1006


@pytest.fixture
def restored(platform: Platform) -> Iterator[Platform]:
    """A platform whose programs run again afterwards, whatever a test does to them."""
    yield platform
    platform.start(*(name for name in ("web", "results", "recorder") if not platform.process(name).running))


def begin(platform: Platform, node: StubNode) -> tuple[str, Viewer]:
    """A run with ten summaries, and its viewer that has seen them."""
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    node.claim(run_id)
    node.say(run_id, phase("RUNNING"), *(metric(n * 100) for n in range(1, 11)))
    viewer.wait_for(13)
    return run_id, viewer


def assert_goes_on(platform: Platform, node: StubNode, run_id: str, viewer: Viewer) -> None:
    """From the number the viewer has seen, to the end, without a gap."""
    assert viewer.seqs == list(range(1, 14))
    again = watch(platform, run_id, after=viewer.seqs[-1])
    again.wait_for(10)
    node.say(run_id, metric(9_000))
    node.succeed(run_id)
    again.finish()
    assert again.seqs == list(range(14, 26))
    assert (again.binaries, again.close_code) == ([MODEL], 1000)


@pytest.mark.parametrize("how", ["is stopped", "is killed"])
def test_when_the_web_is_back_a_game_goes_on_where_it_was(restored: Platform, stub_node: StubNode, how: str) -> None:
    run_id, viewer = begin(restored, stub_node)
    web = restored.process("web")
    web.stop() if how == "is stopped" else web.kill()
    assert viewer.finish().close_code == {"is stopped": GOING_AWAY, "is killed": WITHOUT_A_WORD}[how]
    stub_node.say(run_id, *(metric(n * 100) for n in range(11, 21)))
    restored.start("web")
    assert_goes_on(restored, stub_node, run_id, viewer)


def test_while_the_recorder_is_away_its_messages_wait(restored: Platform, stub_node: StubNode) -> None:
    run_id, viewer = begin(restored, stub_node)
    restored.process("recorder").kill()
    stub_node.say(run_id, *(metric(n * 100) for n in range(11, 21)))
    stub_node.succeed(run_id)
    restored.start("recorder")
    viewer.finish()
    assert viewer.seqs == list(range(1, 25))
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)


def test_while_the_results_worker_is_away_outcomes_wait(restored: Platform, stub_node: StubNode) -> None:
    run_id, viewer = begin(restored, stub_node)
    restored.process("results").kill()
    stub_node.succeed(run_id)
    restored.start("results")
    viewer.finish()
    assert viewer.seqs == list(range(1, 15))
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)
