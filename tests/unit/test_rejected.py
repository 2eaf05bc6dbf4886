"""What a Celery worker may take from a queue, and what is told of the rest."""

import threading
from functools import partial
from typing import Any

import pytest

from coordinator.outcome_consumer import TASKS
from node.rejections import check
from services.platform import wait_until
from wire import aside, names
from wire.aside import Aside
from wire.facts import BadFact
from wire.rejected import MAX_BODY_CHARACTERS, Rejected

RUN_ID = "5667524a-ab1d-42e8-b5bd-e692755d03b0"


def test_results_takes_every_task_of_its_queue_and_no_other() -> None:
    ours = {value for name, value in vars(names).items() if name.startswith("TASK_")}
    assert set(TASKS) == ours - {names.TASK_TRAIN}


def test_a_rejected_message_is_kept_as_text_that_the_database_takes() -> None:
    kept = Rejected.of("train", "It is \0 \ud800.", b"\xff\0" + b"x" * 50_000)
    assert (kept.reason, kept.body[:2], len(kept.body)) == ("It is  ?.", "\ufffdx", MAX_BODY_CHARACTERS)
    assert Rejected.from_wire("train", kept.to_wire()) == kept


@pytest.mark.parametrize("message", [None, [], {}, {"reason": "It is odd."}, {"reason": 1, "body": ""}])
def test_what_is_no_rejected_message_is_refused(message: Any) -> None:
    with pytest.raises(BadFact):
        Rejected.from_wire("train", message)


@pytest.mark.parametrize(("args", "kwargs", "embedded"), [
    ([], {"run_id": RUN_ID}, {}), ([], {"run_id": "x", "attempt": 1}, {}), ([], {"run_id": RUN_ID, "attempt": 0}, {}),
    ([], {"run_id": RUN_ID, "attempt": True}, {}), ([RUN_ID, 1, 2], {}, {}), ([RUN_ID, 1], {}, {"callbacks": [1]}),
])  # fmt: skip
def test_what_is_no_order_to_train_is_refused(
    args: list[Any], kwargs: dict[str, Any], embedded: dict[str, Any]
) -> None:
    check([], {"run_id": RUN_ID, "attempt": 1}, {"callbacks": [{}], "errbacks": None})
    with pytest.raises((ValueError, TypeError)):
        check(args, kwargs, embedded)


def test_what_waits_is_set_aside_together_and_acknowledged_once_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first try the place is away; meanwhile more come."""
    monkeypatch.setattr(aside, "RETRY_SECONDS", 0.01)
    come, tries, kept, acknowledged = threading.Event(), list[int](), list[int](), list[int]()

    def keep(some: list[Rejected]) -> None:
        assert come.wait(30)
        tries.append(len(some))
        if len(tries) == 1:
            raise OSError("It is away.")
        kept.append(len(some))

    waiting = Aside(keep, most=4)
    for number in range(9):
        waiting.put(Rejected.of("coord", "It is odd.", b""), partial(acknowledged.append, number))
    assert acknowledged == []
    come.set()
    wait_until(lambda: len(acknowledged) == 9, 10, "all of them to be kept")
    assert acknowledged == [*range(9)]
    assert (sum(kept), max(kept), tries[0]) == (9, 4, kept[0])
