"""Nodes come and go in the middle of a training: told to end, killed, started twice, spoiled. With the stub trainer."""

from collections.abc import Iterator

import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.stub_platform import StubPlatform
from tests.stub_trainings import STUB_TRAINER


@pytest.fixture(scope="module")
def platform(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubPlatform]:
    """With a node of two slots, whose trainers can be spoiled: while the file `spoiled` is there, none starts."""
    folder = tmp_path_factory.mktemp("nodes")
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" != -c ] && [ -e {folder}/spoiled ] && kill -SEGV $$\nexec {STUB_TRAINER} "$@"\n'
    )
    python.chmod(0o755)
    with StubPlatform(own_stack, folder / "platform", {"NODE_SLOTS": "2", "TRAINER_PYTHON": str(python)}) as running:
        running.start("web", "results", "recorder", "node")
        yield running


def test_a_node_that_is_told_to_end_hands_over_and_goes_on_after_a_restart(platform: StubPlatform) -> None:
    jobs = [platform.submit(15), platform.submit(15)]
    platform.until_trained(*jobs)
    platform.tell_to_end("node")
    assert platform.exit_code("node") == 0
    platform.start("node")
    platform.until("SUCCEEDED", *jobs)
    assert [platform.kinds(run_id) for run_id in jobs] == [["drained", "succeeded"]] * 2


def test_a_node_that_was_killed_says_at_its_start_what_it_was_running(platform: StubPlatform) -> None:
    run_id = platform.submit(15)
    platform.until_trained(run_id)
    platform.process("node").kill()
    platform.start("node")
    platform.until("SUCCEEDED", run_id)
    first, second = platform.show(run_id)["attempts"]
    assert (first["kind"], first["cause"]) == ("lost", "Its node node was restarted during the training.")
    assert second["start_step"] >= 2_000


def test_a_node_starts_while_the_broker_still_holds_the_connection_of_its_last_life(platform: StubPlatform) -> None:
    """As after a cut in the network: the old program is frozen, its connections are open."""
    long = [platform.submit(600), platform.submit(600)]
    platform.until_trained(*long)
    frozen = platform.programs("node")
    for program in frozen:
        program.suspend()
    platform.add_node("again", NODE_NAME="node", NODE_TOKEN=platform.node_token)
    platform.start("again")
    try:
        run_id = platform.submit(1)
        platform.until("SUCCEEDED", run_id)
        assert {it["node"] for it in platform.show(run_id)["attempts"]} == {"node"}
    finally:
        for its in long:
            platform.call("POST", f"/train-jobs/{its}/cancel")
        platform.tell_to_end("again")
        platform.exit_code("again")
        for program in frozen:
            program.resume()


def test_a_node_that_spoils_three_jobs_checks_itself_before_it_gets_the_next(platform: StubPlatform) -> None:
    spoiled = platform.folder.parent / "spoiled"
    spoiled.touch()
    jobs = [platform.submit(1) for _ in range(3)]
    wait_until(lambda: platform.nodes()["node"]["quarantine"], 30, "a node in quarantine")
    assert "3 jobs failed there within 10 minutes by its own fault" in platform.nodes()["node"]["quarantine"]
    wait_until(lambda: any("It has to pass its self-check first." in (platform.show(run_id)["waiting_for"] or "")
                           for run_id in jobs), 30, "a job that says why it waits")  # fmt: skip
    spoiled.unlink()
    platform.until("SUCCEEDED", *jobs)
    assert platform.nodes()["node"]["quarantine"] is None
    assert all(set(platform.kinds(run_id)) == {"node", "succeeded"} for run_id in jobs)
