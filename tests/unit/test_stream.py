"""The events of a run for one socket: whatever the hints do, each viewer gets each number once and in order."""

import random
from collections.abc import Iterator
from itertools import islice
from uuid import UUID, uuid4

import pytest

from coordinator.live.hub import Hub, Item
from coordinator.live.stream import follow

RUN = uuid4()
PAGE = 3


class Record:
    """PostgreSQL's part: what is stored, read in pages."""

    def __init__(self, count: int = 0) -> None:
        self.items: list[Item] = []
        self.reads = 0
        self.store(count)

    def store(self, count: int) -> list[Item]:
        new = [(len(self.items) + n, False, f"frame {len(self.items) + n}") for n in range(1, count + 1)]
        self.items += new
        return new

    def after(self, seq: int) -> list[Item]:
        self.reads += 1
        return self.items[seq : seq + PAGE]


class Viewer:
    """A socket that reads when it is told to."""

    def __init__(self, hub: Hub, record: Record, after: int = 0, run_id: UUID = RUN) -> None:
        self.after, self.seen = after, list[int]()
        self.subscription = hub.subscribe(run_id)
        self._stream: Iterator[list[Item]] = follow(self.subscription, after, record.after, 0)

    def step(self, times: int = 1) -> list[int]:
        new = [seq for items in islice(self._stream, times) for seq, _, _ in items]
        self.seen += new
        return new

    def expected(self, newest: int) -> list[int]:
        return list(range(self.after + 1, newest + 1))


@pytest.fixture
def hub() -> Hub:
    return Hub(limit=5)


def test_what_is_in_the_record_comes_first_page_by_page(hub: Hub) -> None:
    viewer = Viewer(hub, Record(7))
    assert [viewer.step(), viewer.step(), viewer.step()] == [[1, 2, 3], [4, 5, 6], [7]]


def test_after_the_record_the_caller_may_look_around_at_once(hub: Hub) -> None:
    """A run that has ended long ago must not keep its viewer waiting for news that will not come."""
    subscription = hub.subscribe(RUN)
    assert list(islice(follow(subscription, 7, Record(7).after, 3600), 1)) == [[]]


def test_live_events_are_not_read_from_the_record(hub: Hub) -> None:
    record = Record()
    viewer = Viewer(hub, record)
    viewer.step()
    reads = record.reads
    for _ in range(3):
        hub.publish(RUN, record.store(2))
        viewer.step()
    assert viewer.seen == [1, 2, 3, 4, 5, 6]
    assert record.reads == reads


def test_what_is_stored_and_told_between_subscribing_and_reading_is_sent_once(hub: Hub) -> None:
    record = Record(2)
    viewer = Viewer(hub, record)
    hub.publish(RUN, record.store(2))
    viewer.step(5)
    assert viewer.seen == [1, 2, 3, 4]


def test_what_is_told_while_pages_are_read_is_not_lost(hub: Hub) -> None:
    record = Record(5)
    viewer = Viewer(hub, record)
    viewer.step()
    hub.publish(RUN, record.store(1))
    viewer.step(6)
    assert viewer.seen == [1, 2, 3, 4, 5, 6]


def test_a_gap_is_filled_from_the_record(hub: Hub) -> None:
    record = Record(1)
    viewer = Viewer(hub, record)
    viewer.step(3)
    record.store(2)
    hub.publish(RUN, record.store(1))
    viewer.step(3)
    assert viewer.seen == [1, 2, 3, 4]


@pytest.mark.parametrize("order", [[4, 5, 5], [5, 4], [4, 4, 5], [1, 2, 4, 5], [5], [3, 5, 4, 1]], ids=str)
def test_repeated_and_shuffled_hints_change_nothing(hub: Hub, order: list[int]) -> None:
    record = Record(3)
    viewer = Viewer(hub, record)
    viewer.step(3)
    record.store(2)
    hub.publish(RUN, [record.items[seq - 1] for seq in order])
    viewer.step(4)
    assert viewer.seen == [1, 2, 3, 4, 5]


def test_old_news_alone_is_no_news(hub: Hub) -> None:
    record = Record(3)
    viewer = Viewer(hub, record)
    viewer.step(3)
    hub.publish(RUN, record.items[:2])
    assert viewer.step() == []


def test_a_reader_that_fell_behind_catches_up_and_is_live_again(hub: Hub) -> None:
    record = Record()
    viewer = Viewer(hub, record)
    viewer.step()
    for _ in range(10):
        hub.publish(RUN, record.store(2))
    viewer.step(9)
    assert viewer.seen == viewer.expected(20)
    reads = record.reads
    hub.publish(RUN, record.store(1))
    assert viewer.step() == [21]
    assert record.reads == reads


def test_a_returning_viewer_gets_what_it_missed_and_nothing_twice(hub: Hub) -> None:
    record = Record(9)
    viewer = Viewer(hub, record, after=4)
    viewer.step(4)
    hub.publish(RUN, record.store(1))
    viewer.step(2)
    assert viewer.seen == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("seed", range(60))
def test_in_any_order_of_things_every_viewer_gets_every_event_once(seed: int) -> None:
    """Hints are lost, doubled, shuffled and late, connections break, viewers come and dawdle: a fixed list of seeds."""
    chance = random.Random(seed)  # noqa: S311
    hub, record = Hub(limit=chance.choice([1, 4, 30])), Record(chance.randrange(6))
    viewers, hints = list[Viewer](), list[list[Item]]()
    for _ in range(chance.randrange(100, 400)):
        if chance.random() < 0.05 and len(viewers) < 6:
            viewers.append(Viewer(hub, record, after=chance.randrange(len(record.items) + 1)))
        _something_happens(hub, record, hints, viewers, chance)
    hub.check({RUN: len(record.items)})
    for viewer in viewers:
        viewer.step(len(record.items) + 10)
        assert viewer.seen == viewer.expected(len(record.items))


def _something_happens(
    hub: Hub, record: Record, hints: list[list[Item]], viewers: list[Viewer], chance: random.Random
) -> None:
    what = chance.random()
    if what < 0.3:
        hints.append(record.store(chance.randrange(1, 4)))
    elif what < 0.6 and hints:
        _tell(hub, hints, chance)
    elif what < 0.94 and viewers:
        chance.choice(viewers).step(chance.randrange(1, 4))
    elif what < 0.97:
        hub.everybody_is_behind()
    else:
        hub.check({RUN: len(record.items)})


def _tell(hub: Hub, hints: list[list[Item]], chance: random.Random) -> None:
    hint = hints.pop(chance.randrange(len(hints)) if chance.random() < 0.2 else 0)
    fate = chance.random()
    if fate < 0.1:
        return  # lost
    if fate < 0.2:
        hints.append(hint)  # it will come again, much later
    if fate < 0.3:
        hint = chance.sample(hint, len(hint)) + hint[:1]
    hub.publish(RUN, hint)
