"""What waits for the broker: in order, in turns, and never more than a bound."""

from __future__ import annotations

from node.bridge import states
from node.bridge.states import State, Waiting


def state(run_id: str, number: int, size: int = 10) -> State:
    return State(run_id, 1, 0, str(number).encode().rjust(size))


def taken(waiting: Waiting, count: int) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while len(found) < count:
        found += [(it.run_id, int(it.content)) for it in waiting.take()]
    return found


def test_jobs_take_turns_and_each_keeps_its_order() -> None:
    waiting = Waiting()
    for number in range(3):
        waiting.put(state("loud", number))
    waiting.put(state("quiet", 0))
    assert taken(waiting, 4) == [("loud", 0), ("quiet", 0), ("loud", 1), ("loud", 2)]


def test_of_too_much_the_oldest_goes_first_and_no_other_job_loses_any() -> None:
    waiting = Waiting()
    waiting.put(state("quiet", 0))
    for number in range(20):
        waiting.put(state("loud", number, states.JOB_BYTES // 4))
    assert waiting.dropped() == 16
    assert waiting.dropped() == 0
    assert taken(waiting, 5) == [("quiet", 0), *(("loud", number) for number in range(16, 20))]


def test_many_small_ones_have_a_bound_too() -> None:
    waiting = Waiting()
    for number in range(states.JOB_MESSAGES + 5):
        waiting.put(state("loud", number))
    assert waiting.dropped() == 5


def test_one_message_larger_than_the_bound_still_goes_out() -> None:
    waiting = Waiting()
    waiting.put(state("loud", 1, states.JOB_BYTES * 2))
    assert taken(waiting, 1) == [("loud", 1)]


def test_after_an_outage_nobody_is_shown_the_past() -> None:
    waiting = Waiting()
    for number in range(3):
        waiting.put(state("run", number))
    waiting.clear()
    waiting.put(state("run", 3))
    assert waiting.dropped() == 3
    assert taken(waiting, 1) == [("run", 3)]
    waiting.close()
    assert waiting.take() == []
