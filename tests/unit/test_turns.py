"""Whose turn it is: everybody's first job before anybody's tenth; a priority is a weight, and waiting adds to it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from coordinator.dispatching.turns import History, Waiting, in_order

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)
TEAM = UUID(int=9)
TEN_MINUTES = 600


def job(number: int, owner: UUID = ANN, priority: int = 5, waited: float = 0, queue: str = "train") -> Waiting:
    """`waited` seconds."""
    return Waiting(number, queue, TEAM, owner, priority, NOW - timedelta(seconds=waited))


def order(
    *waiting: Waiting, at_work: dict[UUID, int] | None = None, last: dict[UUID, float] | None = None
) -> list[int]:
    """`last`: how many seconds ago each user had a turn."""
    turns = {owner: NOW - timedelta(seconds=ago) for owner, ago in (last or {}).items()}
    return [one.id for one in in_order(waiting, History(at_work or {}, turns), NOW)]


def test_of_one_users_jobs_the_oldest_is_first() -> None:
    assert order(job(2, waited=20), job(3, waited=10), job(1, waited=30)) == [1, 2, 3]


def test_of_one_users_jobs_the_one_of_the_highest_priority_is_first() -> None:
    assert order(job(1, priority=5, waited=9_000), job(2, priority=10), job(3, priority=1)) == [2, 1, 3]


def test_somebodys_first_job_is_before_the_rest_of_another_ones_many() -> None:
    many = [job(number, waited=1_000 - number) for number in range(500)]
    assert order(*many, job(999, BOB)).index(999) <= 1


def test_who_has_jobs_at_work_waits_for_who_has_none() -> None:
    assert order(job(1, ANN, waited=3_600), job(2, BOB), at_work={ANN: 24}, last={ANN: 1}) == [2, 1]


def test_with_one_slot_users_take_turns() -> None:
    """Whoever has a job at work is not next."""
    anns, bobs = [job(n, ANN, waited=60) for n in (1, 2, 3)], [job(n, BOB) for n in (11, 12, 13)]
    assert order(*anns, *bobs, at_work={ANN: 1}, last={ANN: 1})[:2] == [11, 1]
    assert order(*anns, *bobs, at_work={BOB: 1}, last={ANN: 9, BOB: 1})[0] == 1


def test_who_has_waited_longest_for_a_turn_is_next() -> None:
    """However long the jobs of those have waited who had a turn meanwhile."""
    three = job(1, ANN, waited=86_400), job(2, BOB, waited=86_400), job(3, EVE, waited=10)
    assert order(*three, last={ANN: 1, BOB: 5}) == [3, 2, 1]


def test_a_priority_is_a_weight_among_users() -> None:
    """Ten may have twice as much at work as five."""
    both = job(1, ANN, 10), job(2, BOB, 5)
    assert order(*both) == [1, 2]
    assert order(*both, at_work={ANN: 8, BOB: 4}) == [1, 2]
    assert order(*both, at_work={ANN: 10, BOB: 4}) == [2, 1]


def test_no_priority_keeps_another_users_first_job_waiting() -> None:
    many = [job(number, ANN, priority=10, waited=86_400) for number in range(500)]
    assert order(*many, job(999, BOB), at_work={ANN: 24}, last={ANN: 1})[0] == 999


def test_ten_minutes_without_a_turn_are_worth_a_step_of_priority_up_to_the_highest() -> None:
    assert order(job(1, ANN, 9), job(2, BOB, 5, waited=4 * TEN_MINUTES + 1)) == [2, 1]
    assert order(job(1, ANN, 9), job(2, BOB, 5, waited=4 * TEN_MINUTES - 1)) == [1, 2]
    assert order(job(1, ANN, 10), job(2, BOB, 1, waited=86_400), at_work={BOB: 1}) == [1, 2]


def test_a_job_of_the_lowest_priority_is_not_kept_waiting_for_ever() -> None:
    """One slot, and two who always have another job of the highest priority."""
    always = job(1, ANN, 10, waited=1), job(2, BOB, 10, waited=1)
    assert order(*always, job(3, EVE, 1), at_work={ANN: 1}, last={ANN: 1, BOB: 60})[0] == 2
    assert order(*always, job(3, EVE, 1, waited=9 * TEN_MINUTES), at_work={ANN: 1}, last={ANN: 1, BOB: 60})[0] == 3


def test_each_queue_has_its_own_order() -> None:
    assert order(job(1, ANN, queue="train.a", waited=9), job(2, ANN, waited=8), job(3, BOB, waited=7)) == [1, 2, 3]
