"""So many at the same time, and the others in turn."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from coordinator.limiting import at_once
from coordinator.limiting.at_once import AtOnce
from services.platform import wait_until


@contextmanager
def entered(its: AtOnce, count: int, most: int = 2) -> Iterator[list[bool]]:
    """So many that are at work, or were told that there is no room."""
    with ExitStack() as turns:
        yield [turns.enter_context(its.turn("ann", most, 0)) for _ in range(count)]


def test_so_many_are_in_and_no_more() -> None:
    its = AtOnce()
    for _ in range(2):  # all leave
        with entered(its, 3) as told:
            assert told == [True, True, False]


def test_others_are_not_counted() -> None:
    its = AtOnce()
    with entered(its, 2), its.turn("bob", 2, 0) as is_in:
        assert is_in


def test_0_is_no_limit() -> None:
    with entered(AtOnce(), 50, most=0) as told:
        assert all(told)


def test_who_waits_comes_in_as_soon_as_one_leaves() -> None:
    its, told = AtOnce(), list[bool]()

    def wait() -> None:
        with its.turn("ann", 2, 20) as is_in:
            told.append(is_in)

    with entered(its, 2):
        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: its._gates["ann"].waiting, 10, "somebody who waits")
    thread.join(10)
    assert told == [True]


def test_who_would_be_one_of_too_many_that_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "MOST_WAITING", 0)
    with AtOnce().turn("ann", 2, 20) as is_in:
        assert not is_in


def test_of_those_who_have_gone_nothing_is_kept() -> None:
    its = AtOnce()
    with entered(its, 3):
        assert its._gates
    assert its._gates == {}


def test_a_failure_in_its_turn_ends_it() -> None:
    its = AtOnce()
    with pytest.raises(ZeroDivisionError), its.turn("ann", 1, 0):
        raise ZeroDivisionError
    with its.turn("ann", 1, 0) as is_in:
        assert is_in
