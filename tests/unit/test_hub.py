"""Events to the sockets of one process: bounded queues, and a slow reader that delays nobody."""

import threading
from uuid import uuid4

import pytest

from coordinator.live.hub import Hub, Item

RUN, OTHER = uuid4(), uuid4()


def item(seq: int) -> Item:
    return seq, False, f"frame {seq}"


@pytest.fixture
def hub() -> Hub:
    return Hub(limit=3)


def test_everybody_who_watches_a_run_gets_its_events(hub: Hub) -> None:
    first, second = hub.subscribe(RUN), hub.subscribe(RUN)
    hub.publish(RUN, [item(1), item(2)])
    assert first.take(0) == second.take(0) == [item(1), item(2)]


def test_nobody_gets_events_of_another_run(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(OTHER, [item(1)])
    assert mine.take(0) == []


def test_an_event_is_taken_once(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(RUN, [item(1)])
    assert [mine.take(0), mine.take(0)] == [[item(1)], []]


def test_who_comes_late_gets_what_comes_later(hub: Hub) -> None:
    hub.publish(RUN, [item(1)])
    late = hub.subscribe(RUN)
    hub.publish(RUN, [item(2)])
    assert late.take(0) == [item(2)]


def test_who_has_left_is_forgotten_and_the_others_stay(hub: Hub) -> None:
    leaving, staying = hub.subscribe(RUN), hub.subscribe(RUN)
    hub.unsubscribe(leaving)
    hub.publish(RUN, [item(1)])
    assert leaving.take(0) == []
    assert staying.take(0) == [item(1)]


def test_the_last_one_to_leave_leaves_nothing_behind(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.unsubscribe(mine)
    hub.unsubscribe(mine)
    assert hub.watched() == []


def test_a_full_queue_is_kept(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(RUN, [item(1), item(2), item(3)])
    assert mine.take(0) == [item(1), item(2), item(3)]


def test_beyond_its_bound_a_queue_is_forgotten_and_its_reader_told(hub: Hub) -> None:
    slow, quick = hub.subscribe(RUN), hub.subscribe(RUN)
    for seq in range(1, 6):
        hub.publish(RUN, [item(seq)])
        assert quick.take(0) == [item(seq)]
    assert slow.take(0) is None
    assert slow.take(0) == []


def test_one_batch_beyond_the_bound_is_too_much(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.publish(RUN, [item(seq) for seq in range(1, 5)])
    assert mine.take(0) is None


def test_what_comes_to_a_reader_that_is_behind_is_left_to_the_record(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    mine.fall_behind()
    hub.publish(RUN, [item(9)])
    assert mine.take(0) is None
    hub.publish(RUN, [item(10)])
    assert mine.take(0) == [item(10)]


def test_a_broken_connection_to_the_broker_puts_everybody_behind(hub: Hub) -> None:
    readers = [hub.subscribe(RUN), hub.subscribe(OTHER)]
    hub.everybody_is_behind()
    assert [reader.take(0) for reader in readers] == [None, None]


def test_a_lost_hint_is_found_by_comparing_with_the_record(hub: Hub) -> None:
    current, behind, elsewhere = hub.subscribe(RUN), hub.subscribe(RUN), hub.subscribe(OTHER)
    current.cursor, behind.cursor = 5, 4
    hub.check({RUN: 5})
    assert [reader.take(0) for reader in (current, behind, elsewhere)] == [[], None, []]


def test_a_process_that_stops_wakes_all_its_sockets(hub: Hub) -> None:
    mine = hub.subscribe(RUN)
    hub.drain()
    assert hub.draining
    assert mine.take(0) is None


def test_a_waiting_reader_is_woken_by_an_event(hub: Hub) -> None:
    mine, taken = hub.subscribe(RUN), []
    reader = threading.Thread(target=lambda: taken.append(mine.take(30)))
    reader.start()
    hub.publish(RUN, [item(1)])
    reader.join(10)
    assert taken == [[item(1)]]
