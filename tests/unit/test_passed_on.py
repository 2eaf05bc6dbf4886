"""What builds say on its way to one socket: in order of arrival, bounded, and never at the cost of the events."""

import json
import struct
from uuid import uuid4

import pytest

from coordinator.live.frames import looks_like_an_object, text_frame
from coordinator.live.hub import Hub
from coordinator.live.subscription import MOST_PASSED_ON, SLICE_BYTES, Item, PassedOn

RUN, OTHER = uuid4(), uuid4()


@pytest.fixture
def hub() -> Hub:
    return Hub(limit=3, most_bytes=100)


def event(seq: int) -> Item:
    return seq, False, f"frame {seq}"


def frames(items: list[Item] | None) -> list[str | bytes]:
    return [frame for _, _, frame in items or []]


def test_events_and_what_is_passed_on_come_in_the_order_of_their_arrival(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(RUN, [event(1)])
    hub.pass_on(RUN, 1, b"a")
    hub.publish(RUN, [event(2)])
    hub.pass_on(RUN, 1, b"b")
    hub.pass_on(OTHER, 1, b"c")
    assert frames(mine.take(0)) == ["frame 1", b"a", "frame 2", b"b"]
    assert mine.take(0) == []


def test_beyond_the_bound_the_oldest_go_and_a_message_says_how_many_in_their_place(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(RUN, [event(1)])
    for n in range(10):
        hub.pass_on(RUN, 1, b"%d" % n * 30)
    hub.publish(RUN, [event(2)])
    first, skipped, *rest = frames(mine.take(0))
    assert (first, json.loads(skipped)) == ("frame 1", {"msg_id": 12, "count": 7})
    assert rest == [b"7" * 30, b"8" * 30, b"9" * 30, "frame 2"]


def test_one_message_larger_than_the_bound_is_passed_on_alone(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.pass_on(RUN, 1, b"small")
    hub.pass_on(RUN, 1, b"x" * 1_000)
    skipped, large = frames(mine.take(0))
    assert (json.loads(skipped)["count"], large) == (1, b"x" * 1_000)


def test_there_is_a_bound_of_messages_too() -> None:
    waiting = PassedOn(most_bytes=2**30)
    for n in range(MOST_PASSED_ON + 5):
        waiting.add(n, b"")
    assert json.loads(waiting.take()[0][2]) == {"msg_id": 12, "count": 5}


def test_what_is_not_taken_yet_still_makes_room_for_what_is_newer() -> None:
    hub = Hub(most_bytes=4 * SLICE_BYTES)
    mine = hub.subscribe(RUN)
    for n in range(4):
        hub.pass_on(RUN, 1, b"%d" % n * SLICE_BYTES)
    assert [frame[:1] for frame in frames(mine.take(0))] == [b"0"]
    for n in range(4, 6):
        hub.pass_on(RUN, 1, b"%d" % n * SLICE_BYTES)
    skipped, next_one = frames(mine.take(0))
    assert (json.loads(skipped)["count"], next_one[:1]) == (1, b"2")
    assert [frames(mine.take(0))[0][:1] for _ in range(3)] == [b"3", b"4", b"5"]


def test_too_many_events_cost_nothing_of_what_is_passed_on_and_the_other_way_round(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.pass_on(RUN, 1, b"a")
    for seq in range(1, 6):
        hub.publish(RUN, [event(seq)])
    assert mine.take(0) is None
    assert frames(mine.take(0)) == [b"a"]


def test_nothing_comes_of_an_attempt_before_the_newest(hub: Hub) -> None:
    mine = hub.subscribe(RUN, attempt=2)
    hub.pass_on(RUN, 1, b"old")
    hub.pass_on(RUN, 2, b"new")
    hub.note_attempt(RUN, 3)
    hub.pass_on(RUN, 2, b"old by now")
    hub.pass_on(RUN, 3, b"newest")
    assert frames(mine.take(0)) == [b"new", b"newest"]


def test_the_bell_rings_when_the_first_comes_and_the_last_goes(hub: Hub) -> None:
    rung = list[int]()
    hub.on_change = lambda: rung.append(len(hub.watched()))
    first, second = hub.subscribe(RUN), hub.subscribe(RUN)
    hub.unsubscribe(first)
    hub.unsubscribe(second)
    hub.unsubscribe(second)
    assert rung == [1, 0]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_says_its_length_as_websockets_do(size: int) -> None:
    frame, payload = text_frame(b"x" * size), b"x" * size
    short = frame[1]
    length, begin = {126: (lambda: struct.unpack("!H", frame[2:4])[0], 4),
                     127: (lambda: struct.unpack("!Q", frame[2:10])[0], 10)}.get(short, (lambda: short, 2))  # fmt: skip
    assert (frame[0], length(), frame[begin:]) == (0x81, size, payload)


@pytest.mark.parametrize(("payload", "fits"), [
    (b"{}", True), (b' \t\r\n{"a":1} \n', True), (b"", False), (b"[]", False), (b"{", False), (b"}", False),
    (b'{"a":"\xff"}', False), (b"\xef\xbb\xbf{}", False), (b"null", False), (b'{"' + b"x" * 98 + b"}", False),
])  # fmt: skip
def test_only_what_looks_like_an_object_is_passed_on(payload: bytes, fits: bool) -> None:
    assert looks_like_an_object(payload, 100) is fits
