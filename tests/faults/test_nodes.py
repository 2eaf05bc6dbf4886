"""Nodes that are started twice, that spoil jobs, or whose broker is away when they come back. With the stub trainer."""

from collections.abc import Iterator

import psutil
import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.stub_platform import StubPlatform
from tests.stub_trainings import STUB_TRAINER


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubPlatform]:
    """With a node of two slots, whose trainers can be spoiled: while the file `spoiled` is there, none starts."""
    folder = tmp_path_factory.mktemp("nodes")
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" != -c ] && [ -e {folder}/spoiled ] && kill -SEGV $$\nexec {STUB_TRAINER} "$@"\n'
    )
    python.chmod(0o755)
    with StubPlatform(stack, folder / "platform", {"NODE_SLOTS": "2", "TRAINER_PYTHON": str(python)}) as running:
        running.start("web", "results", "recorder", "node")
        yield running


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
    wait_until(lambda: any("It has to pass its self-check first." in (platform.show(run_id)["waiting_for"] or "")
                           for run_id in jobs), 30, "a job that says why it waits")  # fmt: skip
    spoiled.unlink()
    platform.until("SUCCEEDED", *jobs)
    assert platform.nodes()["node"]["quarantine"] is None
    assert all(set(platform.kinds(run_id)) == {"node", "succeeded"} for run_id in jobs)
    assert "3 jobs failed there within 10 minutes by its own fault" in platform.run("flask --app wsgi audit export")


def test_a_node_ends_what_was_left_running_while_the_broker_is_away(platform: StubPlatform, stack: Stack) -> None:
    """It is killed without its trainers' guards, which are frozen: the trainers live on, under nobody's eyes."""
    jobs = [platform.submit(600), platform.submit(600)]
    platform.until_trained(*jobs)
    below = {it.pid: " ".join(it.cmdline()) for it in psutil.Process(platform.pid("node")).children(recursive=True)}
    shims = [psutil.Process(pid) for pid, line in below.items() if "shim.py" in line]
    trainers = [
        psutil.Process(pid) for pid, line in below.items() if str(STUB_TRAINER) in line and "shim.py" not in line
    ]
    for shim in shims:
        shim.suspend()
    guard, rabbitmq = platform.process("node").guard, stack.rabbitmq
    assert guard
    assert rabbitmq
    guard.kill()
    guard.wait()
    assert [trainer.is_running() for trainer in trainers] == [True, True]
    rabbitmq.kill()
    try:
        platform.start("node")
        wait_until(lambda: not any(it.is_running() for it in [*shims, *trainers]), 20, "the end of what was left")
    finally:
        rabbitmq.start()
    wait_until(lambda: all(platform.kinds(run_id)[0] == "lost" for run_id in jobs), 60, "attempts that are handed in")
    for run_id in jobs:
        platform.call("POST", f"/train-jobs/{run_id}/cancel")
