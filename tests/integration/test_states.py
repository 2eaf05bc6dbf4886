"""What builds say reaches every viewer of their run, live, in order, byte for byte; and nobody else."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.acceptance.viewers import Viewer
from tests.integration.bridge import Bridge, states_of
from tests.integration.live import connect, farewell, new_run, watch
from tests.jobs import metric
from tests.stub_node import MODEL, StubNode

TINY = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)]


@pytest.fixture
def bridge(platform: Platform) -> Iterator[Bridge]:
    with Bridge(platform) as made:
        yield made


def state(number: int, size: int = 0) -> bytes:
    return json.dumps({"msg_id": 1, "stepCount": number, "padding": "x" * size}).encode()


def counts(viewer: Viewer) -> list[int]:
    return [one["stepCount"] for one in states_of(viewer) if "stepCount" in one]


def wait_for_counts(viewer: Viewer, newest: int) -> list[int]:
    """The numbers of the states that have come, once this one is among them."""
    with viewer.has_come:
        viewer.has_come.wait_for(lambda: counts(viewer)[-1:] == [newest], 30)
    assert counts(viewer)[-1:] == [newest]
    return counts(viewer)


def test_a_burst_arrives_whole_and_in_order_at_every_viewer(platform: Platform, bridge: Bridge) -> None:
    run_id = new_run(platform)
    viewers = [watch(platform, run_id), watch(platform, run_id)]
    bridge.reach(run_id, *viewers)
    bridge.say(run_id, *(state(n, 300_000 if n % 50 == 0 else 100) for n in range(300)))
    for viewer in viewers:
        assert wait_for_counts(viewer, 299) == list(range(300))


def test_a_viewer_sees_its_own_run_only(platform: Platform, bridge: Bridge) -> None:
    mine, other = new_run(platform), new_run(platform)
    viewers = {run_id: watch(platform, run_id) for run_id in (mine, other)}
    for run_id, viewer in viewers.items():
        bridge.reach(run_id, viewer)
    for n in range(20):
        bridge.say(mine, state(n))
        bridge.say(other, state(100 + n))
    assert wait_for_counts(viewers[mine], 19) == list(range(20))
    assert wait_for_counts(viewers[other], 119) == list(range(100, 120))


ODD = [
    b'{"msg_id":1,"stepCount":1,"stepCount":2}',
    b' \t{ "msg_id" : 1e0 , "x" : 1.50000000000000000000001 }\r\n',
    b'{"msg_id":1,"text":"\\u00e9\\ud83d\\ude00 \xc3\xa9\xf0\x9f\x98\x80\\/"}',
    b'{"msg_id":1,"deep":' + b"[" * 200 + b"]" * 200 + b"}",
]


def test_every_byte_is_the_builds_own(platform: Platform, bridge: Bridge) -> None:
    run_id = new_run(platform)
    bridge.reach(run_id, watch(platform, run_id))
    bare = connect(platform, platform.token)
    bare.send(json.dumps({"run_id": run_id}))
    assert json.loads(bare.recv())["msg_id"] == 2
    bridge.say(run_id, *ODD)
    assert [bare.recv_data()[1] for _ in ODD] == ODD
    bare.shutdown()


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"Instance: Start Training", b'{"msg_id":1', b'{"a":"\xff"}'])
def test_what_would_break_a_games_parser_is_not_passed_on(platform: Platform, bridge: Bridge, body: bytes) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    bridge.reach(run_id, viewer)
    bridge.say(run_id, body, state(1))
    assert wait_for_counts(viewer, 1) == [1]
    assert viewer.is_alive()


def test_an_old_attempt_says_nothing_any_more(platform: Platform, bridge: Bridge, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    stub_node.claim(run_id)
    bridge.reach(run_id, viewer)
    stub_node.lose(run_id)
    wait_until(lambda: viewer.statuses.count("SUBMITTED") == 2, 30, "the second attempt")
    bridge.say(run_id, state(1), attempt=1)
    bridge.say(run_id, state(2), attempt=2)
    bridge.say(run_id, state(3), attempt=1)
    bridge.say(run_id, state(4), attempt=2)
    assert wait_for_counts(viewer, 4) == [2, 4]


def test_after_the_end_nothing_is_passed_on(platform: Platform, bridge: Bridge, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    bridge.reach(run_id, viewer)
    stub_node.claim(run_id)
    for n in range(50):
        bridge.say(run_id, state(n))
    stub_node.succeed(run_id)
    while viewer.is_alive():
        bridge.say(run_id, state(1_000))
        viewer.join(0.01)
    assert viewer.messages[-1]["status"] == "SUCCEEDED"
    assert (viewer.binaries, viewer.order[-1], viewer.close_code) == ([MODEL], "binary", 1000)
    assert counts(viewer)[:50] == list(range(50))


def test_a_slow_viewer_loses_states_and_nothing_else_and_delays_nobody(
    platform: Platform, bridge: Bridge, stub_node: StubNode
) -> None:
    run_id, published = new_run(platform), threading.Event()
    quick = watch(platform, run_id)
    bridge.reach(run_id, quick)
    slow = Dawdler(platform, run_id, published)
    stub_node.claim(run_id)
    for first in range(0, 200, 10):
        bridge.say(run_id, *(state(n, 100_000) for n in range(first, first + 10)))
        assert wait_for_counts(quick, first + 9) == list(range(first + 10))
    published.set()
    stub_node.say(run_id, *(metric(n) for n in range(5)))
    stub_node.hand_in(run_id, status="failed", error="It broke.")
    texts, code = slow.finish()
    assert code == 1000
    assert [text["seq"] for text in texts if "seq" in text] == list(range(1, 9))
    assert_skips_stand_in_their_place(texts, 200)
    assert 12 not in {message["msg_id"] for message in quick.finish().messages}


class Dawdler(threading.Thread):
    """A viewer that takes a message every half second, until it is told that it may hurry."""

    def __init__(self, platform: Platform, run_id: str, hurry: threading.Event) -> None:
        super().__init__(daemon=True)
        self._socket = connect(platform, platform.token, sockopt=TINY)
        self._socket.send(json.dumps({"run_id": run_id}))
        self._texts, self._hurry = [json.loads(self._socket.recv())], hurry
        self.start()

    def run(self) -> None:
        while not self._hurry.wait(0.5):
            self._texts.append(json.loads(self._socket.recv()))

    def finish(self) -> tuple[list[dict[str, Any]], int]:
        """Everything that has come, and the close code."""
        self.join(30)
        texts, code = farewell(self._socket)
        return self._texts + texts, code


def assert_skips_stand_in_their_place(texts: list[dict[str, Any]], total: int) -> None:
    expected = 0
    assert 12 in {text["msg_id"] for text in texts}
    for text in texts:
        if text["msg_id"] == 12:
            expected += text["count"]
        elif text["msg_id"] == 1:
            assert text["stepCount"] == expected
            expected += 1
    assert expected == total


def test_who_comes_late_gets_what_comes_from_then_on(platform: Platform, bridge: Bridge) -> None:
    run_id = new_run(platform)
    early = watch(platform, run_id)
    bridge.reach(run_id, early)
    bridge.say(run_id, state(1))
    wait_for_counts(early, 1)
    late = watch(platform, run_id)
    late.wait_for(1)
    bridge.say(run_id, state(2))
    assert wait_for_counts(late, 2) == [2]


def test_a_run_that_nobody_watches_costs_the_web_nothing(platform: Platform, bridge: Bridge, stack: Stack) -> None:
    run_id = new_run(platform)
    viewer = watch(platform, run_id)
    bridge.reach(run_id, viewer)
    assert bindings(stack, run_id) == 1
    viewer.socket.close()
    wait_until(lambda: bindings(stack, run_id) == 0, 30, "the binding to go")


def bindings(stack: Stack, run_id: str) -> int:
    """How many queues get the states of a run."""
    answer = requests.get(f"{stack.env['FLOWER_BROKER_API']}bindings", timeout=10)
    return [binding["routing_key"] for binding in answer.json()].count(run_id)
