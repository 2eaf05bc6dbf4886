"""One slow reader harms nobody: it is cut off in time, it may come back, and the others are not delayed."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.platform import Platform, wait_until
from services.proc import pids_with_parent
from tests.acceptance.viewers import Viewer
from tests.integration.live import connect, farewell, new_run, watch
from tests.jobs import metric, phase
from tests.stub_node import StubNode

TINY = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)]
BIG_MODEL = bytes(range(256)) * 40_000
"""10 MB: more than all buffers between the two programs hold."""
WRITE_SECONDS = 2.0
STOPPED, MOST_MEMORY = 100, 300_000
"""Readers that stop, and bytes of the web process for each."""


@pytest.fixture
def trained(platform: Platform, stub_node: StubNode) -> str:
    """A finished run with a big model."""
    run_id = new_run(platform)
    stub_node.train(run_id, model=BIG_MODEL)
    watch(platform, run_id).finish()
    return run_id


@pytest.fixture
def slow(platform: Platform, trained: str) -> Iterator[Any]:
    """A game that has asked for the big model and reads nothing more than the first message."""
    made = connect(platform, platform.token, sockopt=TINY)
    made.send(json.dumps({"run_id": trained}))
    assert json.loads(made.recv())["seq"] == 1
    yield made
    made.shutdown()


def test_who_stops_reading_is_let_go_with_1013_and_may_come_back(platform: Platform, slow: Any, trained: str) -> None:
    began = time.monotonic()
    wait_until(lambda: is_let_go(slow.sock), 5 * WRITE_SECONDS, "the server to give up")
    assert time.monotonic() - began > WRITE_SECONDS / 2
    texts, code = farewell(slow)
    assert code == 1013
    again = watch(platform, trained, after=1 + len(texts)).finish()
    assert (again.binaries, again.close_code) == ([BIG_MODEL], 1000)


def test_who_stops_reading_a_lively_job_misses_nothing_when_it_comes_back(
    platform: Platform, stub_node: StubNode
) -> None:
    run_id, last = new_run(platform), 6_003
    slow, quick = connect(platform, platform.token, sockopt=TINY), watch(platform, run_id)
    slow.send(json.dumps({"run_id": run_id}))
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *(metric(n) for n in range(6_000)))
    wait_until(lambda: is_let_go(slow.sock), 60, "the server to give up")
    texts, code = farewell(slow)
    assert code == 1013
    assert [text["seq"] for text in texts] == list(range(1, len(texts) + 1))
    quick.wait_for(last)
    again = watch(platform, run_id, after=len(texts))
    again.wait_for(last - len(texts))
    assert texts + again.messages == quick.messages


def test_stopped_readers_cost_a_bound_of_memory_and_delay_nobody(platform: Platform, stub_node: StubNode) -> None:
    run_id, last = new_run(platform), 2_503
    (worker,) = pids_with_parent(platform.process("web").pid or 0)
    Path(f"/proc/{worker}/clear_refs").write_text("5")  # forget the peak so far
    before = peak(worker)
    stopped = [connect(platform, platform.token, sockopt=TINY) for _ in range(STOPPED)]
    for one in stopped:
        one.send(json.dumps({"run_id": run_id}))
    quick = watch(platform, run_id)
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *(metric(n) for n in range(2_500)))
    quick.wait_for(last)
    wait_until(lambda: all(is_let_go(one.sock) for one in stopped), 60, "the server to give up on all")
    assert (peak(worker) - before) / STOPPED < MOST_MEMORY
    for one in stopped:
        one.shutdown()


def is_let_go(its: socket.socket) -> bool:
    """Whether the far end has said its last word, seen without reading: its side of the connection is closing."""
    near, far = its.getsockname()[1], its.getpeername()[1]
    states = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{far:04X}", f":{near:04X}"
    # an earlier connection between the same ports may still be listed as closing
    return "01" not in [state for _, ours, theirs, state, *_ in states if (ours[8:], theirs[8:]) == ends]


def peak(pid: int) -> int:
    """The most resident bytes that a process has had."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_while_one_does_not_read_the_others_are_served_at_once(
    platform: Platform, stub_node: StubNode, slow: Any, trained: str
) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    stub_node.claim(run_id)
    viewer.wait_for(2)
    for place in range(3, 13):
        stub_node.say(run_id, metric(place * 100))
        viewer.wait_for(place)
    assert not is_let_go(slow.sock), "the others were served after the slow one, not beside it"
    stub_node.succeed(run_id)
    assert viewer.finish().close_code == 1000
    assert watch(platform, trained).finish().binaries == [BIG_MODEL]


def test_who_reads_slowly_but_reads_gets_everything(platform: Platform, trained: str) -> None:
    made = connect(platform, platform.token, sockopt=TINY)
    made.send(json.dumps({"run_id": trained}))
    raw = b""
    while len(raw) < len(BIG_MODEL):
        raw += made.sock.recv(100_000)
    made.shutdown()
    assert BIG_MODEL[:1_000] in raw


def test_who_falls_behind_the_live_messages_reads_them_from_the_record(platform: Platform, stub_node: StubNode) -> None:
    """3 000 messages for a queue of 50: nothing is lost, and nothing comes twice."""
    run_id = new_run(platform)
    slow, quick = connect(platform, platform.token, sockopt=TINY), watch(platform, run_id)
    slow.send(json.dumps({"run_id": run_id}))
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *(metric(n) for n in range(3_000)))
    quick.wait_for(3_003)
    stub_node.hand_in(run_id, status="failed", error="It broke.")
    texts, code = farewell(slow)
    assert [text["seq"] for text in texts] == list(range(1, 3_005))
    assert code == 1000
    assert quick.finish().messages == texts


def test_a_model_is_read_to_its_end_whatever_its_game_says_meanwhile(platform: Platform, stub_node: StubNode) -> None:
    """The server has sent everything long before the game has read it: what it says then must not cost the rest."""
    run_id, model = new_run(platform), BIG_MODEL[:300_000]
    stub_node.train(run_id, model=model)
    assert watch(platform, run_id).finish().binaries == [model]
    made = connect(platform, platform.token, sockopt=TINY)
    made.send(json.dumps({"run_id": run_id}))
    for _ in range(8):
        made.recv()
        made.ping("I am slow")
    kind, data = made.recv_data()
    assert (kind, data) == (2, model)
    assert farewell(made) == ([], 1000)


def test_twenty_viewers_of_one_run_get_it_whole(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewers: list[Viewer] = [watch(platform, run_id) for _ in range(20)]
    stub_node.train(run_id, summaries=100)
    for viewer in viewers:
        assert viewer.finish().seqs == list(range(1, 106))
        assert len(viewer.binaries) == 1
