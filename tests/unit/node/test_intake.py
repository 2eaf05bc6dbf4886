"""From which queues a node takes trainings, seen through Celery's consumer."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from node import intake
from node.drain import Drain
from node.intake import Intake, consume_from, stop_when_full, strategy
from wire.names import TRAIN_QUEUE, train_queue

SPECIAL = train_queue({"gpu": True})


class Consumer:
    """What is asked of Celery's, with two slots."""

    def __init__(self, *consuming: str) -> None:
        self.consuming = {*consuming}
        self.pool = SimpleNamespace(num_processes=2)
        known: Any = type("Queues", (dict,), {"add": lambda its, queue: its.update({queue.name: queue})})
        self.queues = known({TRAIN_QUEUE: None, "coord": None, SPECIAL: None})
        self.app = SimpleNamespace(amqp=SimpleNamespace(queues=self.queues))
        self.task_consumer = SimpleNamespace(consuming_from=self.consuming.__contains__)
        self.connection_errors = ()
        self.connection = None
        self.add_task_queue = self.consuming.add
        self.cancel_task_queue = self.consuming.remove


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Those that the worker has."""
    monkeypatch.setattr(state, "reserved_requests", running := list[int]())
    return running


def test_a_node_consumes_from_what_is_wanted_and_nothing_else() -> None:
    consumer = Consumer(TRAIN_QUEUE)
    consume_from(consumer, frozenset({SPECIAL}))
    assert consumer.consuming == {SPECIAL}
    assert consumer.queues[SPECIAL].queue_arguments["x-expires"] == 3_600_000
    consume_from(consumer, frozenset())
    assert consumer.consuming == set()


def test_a_queue_that_is_missing_is_looked_for_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer, now, looks = Consumer(), 0.0, list[float]()
    monkeypatch.setattr(intake, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(intake, "is_there", lambda connection, name: looks.append(now) or len(looks) == 7)
    step = intake.TakeWhileFree(consumer)
    while not step._is_there(consumer, SPECIAL):
        now += 0.125
    assert looks == [0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5]


def test_the_last_slot_stops_all_queues(trainings: list[int]) -> None:
    consumer = Consumer(TRAIN_QUEUE, SPECIAL)
    stop_when_full(consumer)
    assert consumer.consuming == {TRAIN_QUEUE, SPECIAL}
    trainings.append(1)
    stop_when_full(consumer)
    assert consumer.consuming == set()


def test_a_node_that_is_full_or_drains_wants_nothing(trainings: list[int]) -> None:
    its, consumer = Intake(drain := Drain()), Consumer()
    its.queues = frozenset({SPECIAL})
    assert its.wanted(consumer) == {SPECIAL}
    its.full = "Its disk has 5 MB left."
    assert its.wanted(consumer) == frozenset()
    its.full = None
    trainings += [1, 2]
    assert its.wanted(consumer) == frozenset()
    trainings.clear()
    drain.ask("finish")
    assert its.wanted(consumer) == frozenset()


def test_one_training_too_many_goes_back_to_its_queue(trainings: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ 4 prefetches for each queue by itself: more may be on their way than there are slots."""
    taken, returned = list[str](), list[dict[str, Any]]()
    monkeypatch.setattr(intake, "usual_strategy", lambda *_, **__: lambda message, *_: taken.append(message))
    take = strategy(None, None, Consumer())  # type: ignore[arg-type]
    reject = lambda *_, **options: returned.append(options)  # noqa: E731
    take("first", None, None, reject, None)
    trainings += [1, 2]
    take("second", None, None, reject, None)
    assert (taken, returned) == (["first"], [{"requeue": True}])
