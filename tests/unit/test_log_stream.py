"""The log of a run for one socket: whatever the hints do, each piece comes once and in order."""

import random
from uuid import uuid4

import pytest

from coordinator.live.hub import Hub
from coordinator.live.logs import LogStream
from coordinator.live.subscription import Piece, Place

RUN = uuid4()


class Record:
    """What is stored: pieces numbered with gaps, read in pages."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.reads = 0

    def store(self, attempt: int, n: int) -> Piece:
        before = [piece.place[1] for piece in self.pieces if piece.place[0] == attempt]
        self.pieces.append(Piece((attempt, n), max(before, default=0), f"{attempt}.{n}"))
        return self.pieces[-1]

    def after(self, place: Place) -> list[tuple[Place, str]]:
        self.reads += 1
        return [(piece.place, piece.frame) for piece in self.pieces if piece.place > place][:3]


@pytest.fixture
def hub() -> Hub:
    return Hub()


def test_first_the_record_then_what_comes(hub: Hub) -> None:
    record = Record()
    for n in (2, 5, 6, 9):
        record.store(1, n)
    stream = LogStream(hub.subscribe(RUN), 1, record.after)
    assert list(stream.due()) == ["1.2", "1.5", "1.6", "1.9"]
    reads = record.reads
    hub.publish_log(RUN, record.pieces[-1])
    hub.publish_log(RUN, record.store(1, 20))
    assert list(stream.due()) == ["1.20"]
    assert list(stream.due()) == []
    assert record.reads == reads


def test_a_lost_piece_is_read_from_the_record(hub: Hub) -> None:
    record = Record()
    stream = LogStream(hub.subscribe(RUN), 1, record.after)
    assert list(stream.due()) == []
    record.store(1, 3)
    hub.publish_log(RUN, record.store(1, 7))
    assert list(stream.due()) == ["1.3", "1.7"]
    record.store(1, 8)
    hub.check_logs({RUN: (1, 8)})
    assert list(stream.due()) == ["1.8"]


def test_who_did_not_ask_gets_none_and_costs_nothing(hub: Hub) -> None:
    subscription = hub.subscribe(RUN)
    hub.publish_log(RUN, Piece((1, 1), 0, "1.1"))
    assert subscription.take_log() == []
    assert hub.log_watched() == []


def test_a_new_attempt_follows_the_old_one(hub: Hub) -> None:
    record = Record()
    stream = LogStream(hub.subscribe(RUN), 1, record.after)
    list(stream.due())
    record.store(1, 4)
    hub.publish_log(RUN, record.store(2, 1))
    assert list(stream.due()) == ["1.4", "2.1"]


@pytest.mark.parametrize("seed", range(30))
def test_in_any_order_of_things_every_piece_comes_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    hub, record, got, attempt, n = Hub(), Record(), list[str](), 1, 0
    stream = LogStream(hub.subscribe(RUN), 1, record.after)
    for _ in range(chance.randrange(20, 300)):
        if chance.random() < 0.02:
            attempt, n = attempt + 1, 0
        n += chance.randrange(1, 4)
        piece = record.store(attempt, n)
        for _ in range(chance.choice([0, 1, 1, 1, 2])):
            hub.publish_log(RUN, piece)
        if chance.random() < 0.3:
            got += stream.due()
        if chance.random() < 0.02:
            hub.everybody_is_behind()
    got += stream.due(to_the_end=True)
    assert got == [piece.frame for piece in record.pieces]
