"""The web's processes, its broker and its database fail under those who watch: they come back, or wait, and nothing is
missing and nothing comes twice."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from coordinator.live.service import CHECK_SECONDS
from services.platform import Platform, wait_until
from services.proc import pids_with_parent
from services.stack import Stack
from tests.integration.gated import gated_web
from tests.integration.live import Faithful, connect, farewell, new_run, watch
from tests.jobs import metric, phase
from tests.stub_node import MODEL, StubNode

SUMMARIES = 120
BIG_MODEL = bytes(range(256)) * 40_000
REPAIRED_SECONDS = CHECK_SECONDS + 5
"""A comparison with the record, and what it takes on a busy machine."""
HELD_UP_SECONDS = 15
"""Less than the 20 that gunicorn waits for those that are served."""
TRY_AGAIN = 1013


def workers(platform: Platform) -> list[int]:
    """The web's processes that serve."""
    return pids_with_parent(platform.process("web").pid or 0)


def until_another_has_come(platform: Platform, victim: int) -> None:
    """gunicorn has noticed that the process is gone."""
    wait_until(lambda: victim not in (now := workers(platform)) and len(now) == 2, 20, "gunicorn's next process")


def begin(node: StubNode, *run_ids: str) -> None:
    for run_id in run_ids:
        node.claim(run_id)
        node.say(run_id, phase("RUNNING"))


@pytest.fixture(scope="module")
def two_webs(platform: Platform) -> Iterator[Platform]:
    """The platform with two web processes, which let an idle connection be, and afterwards as it was."""
    others = {"WEB_WORKERS": "2", "REQUEST_SECONDS": "75"}
    before = {name: platform.env[name] for name in others}
    for settings in (others, before):
        platform.process("web").stop()
        platform.env.update(settings)
        platform.start("web")
        if settings is others:
            wait_until(lambda: len(workers(platform)) == 2, 20, "both web processes")
            yield platform


def test_viewers_miss_nothing_while_a_web_process_is_killed(two_webs: Platform, stub_node: StubNode) -> None:
    """A hundred of them, and three kills: tests/faults/test_web_faults.py."""
    check_that_nothing_is_missed(two_webs, stub_node, runs=2, viewers=4, kills=1)


def check_that_nothing_is_missed(two_webs: Platform, stub_node: StubNode, runs: int, viewers: int, kills: int) -> None:
    """So many runs with so many viewers each, and a kill after each part of the summaries."""
    run_ids = [new_run(two_webs) for _ in range(runs)]
    begin(stub_node, *run_ids)
    watching = [Faithful(two_webs, run_id) for run_id in run_ids for _ in range(viewers)]
    for part in range(kills):
        for run_id in run_ids:
            stub_node.say(run_id, *(metric(part * 1_000 + n) for n in range(SUMMARIES // kills)))
        victim = workers(two_webs)[0]
        os.kill(victim, signal.SIGKILL)
        until_another_has_come(two_webs, victim)
    for run_id in run_ids:
        stub_node.succeed(run_id)
    for viewer in watching:
        viewer.finish()
        assert viewer.seqs == list(range(1, 3 + SUMMARIES + 2))
        assert viewer.binaries == [MODEL]
    assert sum(viewer.codes.count(1006) for viewer in watching) > 0


def test_a_model_whose_sender_is_killed_in_the_middle_comes_whole_from_another(
    two_webs: Platform, stub_node: StubNode
) -> None:
    run_id = new_run(two_webs)
    stub_node.train(run_id, model=BIG_MODEL)
    watch(two_webs, run_id).finish()
    slow = connect(two_webs, two_webs.token, sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)])
    slow.send(json.dumps({"run_id": run_id, "after": 8}))
    assert slow.sock.recv(1, socket.MSG_PEEK)
    for worker in workers(two_webs):
        os.kill(worker, signal.SIGKILL)
    assert farewell(slow) == ([], 1006)
    again = Faithful(two_webs, run_id).finish()
    assert (again.seqs, again.binaries) == (list(range(1, 9)), [BIG_MODEL])


def test_an_idle_connection_does_not_hold_up_the_end_of_the_web(two_webs: Platform) -> None:
    with requests.Session() as idle:
        assert idle.get(f"{two_webs.url}/livez", timeout=10).headers["Connection"] == "keep-alive"
        main = two_webs.process("web").pid or 0
        serving = workers(two_webs)
        os.kill(main, signal.SIGTERM)
        wait_until(lambda: not any(map(psutil.pid_exists, [main, *serving])), HELD_UP_SECONDS, "the end of the web")
    two_webs.process("web").stop()  # its guard has noticed
    two_webs.start("web")


def test_while_the_webs_broker_is_away_its_viewers_are_served_from_the_record(
    stack: Stack, platform: Platform, stub_node: StubNode, tmp_path: Path
) -> None:
    run_id = new_run(platform)
    with gated_web(stack, platform, tmp_path / "gated") as gated:
        viewer = watch(gated.web, run_id)
        begin(stub_node, run_id)
        viewer.wait_for(3)
        for count in (3, 54):
            gated.broker.shut()
            began = time.monotonic()
            stub_node.say(run_id, *(metric(n) for n in range(50)))
            viewer.wait_for(count + 50)
            assert time.monotonic() - began < REPAIRED_SECONDS
            gated.broker.open()
            stub_node.say(run_id, metric(100))
            viewer.wait_for(count + 51)
        stub_node.succeed(run_id)
        assert viewer.finish().seqs == list(range(1, 3 + 102 + 2))
        assert viewer.close_code == 1000
