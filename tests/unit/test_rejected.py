"""What a Celery worker may take from a queue, and what is told of the rest."""

from typing import Any

import pytest

from coordinator.outcome_consumer import TASKS
from node.rejections import check
from wire import names
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
