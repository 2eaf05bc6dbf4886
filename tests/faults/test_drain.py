"""Nodes that are told to end: nothing new is taken, trainings are finished or handed over, the exit code is 0."""

from collections.abc import Iterator

import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.stub_platform import StubPlatform


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubPlatform]:
    """Everything but a node."""
    with StubPlatform(stack, tmp_path_factory.mktemp("drain") / "platform", {"NODE_SLOTS": "2"}) as running:
        running.start("web", "results", "recorder")
        yield running


@pytest.fixture
def node(platform: StubPlatform, request: pytest.FixtureRequest) -> Iterator[str]:
    """A node that does so when it gets a SIGTERM."""
    name = str(request.param)
    if name not in platform.nodes():
        platform.add_node(name, NODE_DRAIN=name)
    platform.start(name)
    yield name
    platform.process(name).kill()


@pytest.mark.parametrize("all_of_it", [False, True], ids=["main process", "whole group"])
@pytest.mark.parametrize("node", ["hand-over"], indirect=True)
def test_what_is_handed_over_goes_on_where_it_was(platform: StubPlatform, node: str, all_of_it: bool) -> None:
    jobs = [platform.submit(15), platform.submit(15)]
    platform.until_trained(*jobs)
    platform.tell_to_end(node, all_of_it)
    assert platform.exit_code(node) == 0
    platform.until("SUBMITTED", *jobs)
    platform.start(node)
    platform.until("SUCCEEDED", *jobs)
    for run_id in jobs:
        first, second = platform.show(run_id)["attempts"]
        assert (first["kind"], first["cause"]) == ("drained", f"Its node {node} was told to stop.")
        assert (second["kind"], second["start_step"] > 2_000) == ("succeeded", True)


@pytest.mark.parametrize("all_of_it", [False, True], ids=["main process", "whole group"])
@pytest.mark.parametrize("node", ["finish"], indirect=True)
def test_what_is_finished_is_finished_and_nothing_new_is_taken(
    platform: StubPlatform, node: str, all_of_it: bool
) -> None:
    jobs = [platform.submit(10), platform.submit(10)]
    platform.until_trained(*jobs)
    platform.tell_to_end(node, all_of_it)
    left = platform.submit(1)
    wait_until(lambda: platform.nodes()[node]["drain"] == "finish", 10, "a node that says that it drains")
    assert platform.exit_code(node) == 0
    platform.until("SUCCEEDED", *jobs)
    assert [platform.kinds(run_id) for run_id in jobs] == [["succeeded"], ["succeeded"]]
    assert platform.show(left)["attempts"] == []
    platform.start(node)
    platform.until("SUCCEEDED", left)


@pytest.mark.parametrize("node", ["finish"], indirect=True)
def test_a_second_sigterm_cuts_finishing_short(platform: StubPlatform, node: str) -> None:
    run_id = platform.submit(600)
    platform.until_trained(run_id)
    platform.tell_to_end(node)
    wait_until(lambda: platform.nodes()[node]["drain"] == "finish", 10, "a node that says that it drains")
    assert platform.kinds(run_id) == [None]
    platform.tell_to_end(node)
    assert platform.exit_code(node) == 0
    platform.until("SUBMITTED", run_id)
    assert platform.kinds(run_id) == ["drained"]
    platform.call("POST", f"/train-jobs/{run_id}/cancel")


@pytest.mark.parametrize("node", ["hand-over"], indirect=True)
@pytest.mark.parametrize(("how", "seconds", "kind"), [("--finish", 10, "succeeded"), ("--hand-over", 600, "drained")])
def test_a_node_is_drained_by_a_command_for_one_life(
    platform: StubPlatform, node: str, how: str, seconds: int, kind: str
) -> None:
    wait_until(lambda: platform.nodes()[node]["drain"] is None, 10, "a hello of this life")
    run_id = platform.submit(seconds)
    platform.until_trained(run_id)
    platform.run(f"flask --app wsgi nodes drain {node} {how}")
    left = platform.submit(1)
    reason = f"No node that fits takes new trainings. {node}: It is being shut down."
    wait_until(lambda: platform.show(left)["waiting_for"] == reason, 20, "a job that says why it waits")
    assert platform.exit_code(node) == 0
    wait_until(lambda: platform.kinds(run_id) == [kind], 20, f"an attempt that has {kind}")
    platform.start(node)
    platform.until("SUCCEEDED", left)
    if kind == "drained":
        platform.call("POST", f"/train-jobs/{run_id}/cancel")


@pytest.mark.parametrize("node", ["hand-over"], indirect=True)
def test_a_node_without_trainings_ends_at_once(platform: StubPlatform, node: str) -> None:
    wait_until(lambda: platform.nodes()[node]["drain"] is None, 10, "a hello of this life")
    platform.run(f"flask --app wsgi nodes drain {node} --finish")
    assert platform.exit_code(node, 15) == 0
