"""The heartbeats of an attempt: what they obey, and that one which is lost is soon followed by the next."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from node import central
from node.central import Away, Central
from node.lease import BEATS_PER_LEASE, Lease, Stop
from services.platform import wait_until
from services.ports import free_ports
from tests.gate import Gate


def leased(seconds: float, answer: Callable[[int], str]) -> tuple[list[float], Stop]:
    """The moments of its heartbeats; `answer` is asked for each, with its number."""
    beats, stop = list[float](), Stop()

    def beat() -> str:
        beats.append(time.monotonic())
        return answer(len(beats))

    Lease(beat, seconds, stop)
    return beats, stop


def test_a_lease_is_renewed_several_times_before_it_would_end() -> None:
    beats, _ = leased(2.0, lambda number: "go on")
    wait_until(lambda: len(beats) >= 5, 10, "five heartbeats")
    assert min(later - beat for beat, later in pairwise(beats)) >= 2.0 / BEATS_PER_LEASE - 0.01


def test_after_a_heartbeat_that_was_lost_the_next_comes_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.lease.AGAIN_SECONDS", 0.05)

    def lost(number: int) -> str:
        raise Away("Nobody answers.")

    beats, stop = leased(5.0, lost)
    wait_until(lambda: len(beats) >= 4, 10, "four heartbeats")
    assert beats[3] - beats[0] < 1.0
    assert not stop.is_set()


@pytest.mark.parametrize(("answer", "reason"), [("cancel", Stop.CANCELLED), ("not yours", Stop.FENCED)])
def test_an_answer_ends_the_training(answer: str, reason: str) -> None:
    _, stop = leased(0.1, lambda number: answer)
    wait_until(stop.is_set, 10, "the training to be told")
    assert stop.reason == reason


def test_a_heartbeat_that_hangs_leaves_time_for_the_next() -> None:
    """In a connection that is taken and then silent, as behind a cable that was pulled."""
    gate = Gate(free_ports(1, set())[0])
    gate.freeze()
    node, began = Central(f"http://127.0.0.1:{gate.port}", "token"), time.monotonic()
    with pytest.raises(Away):
        node.heartbeat("5667524a-ab1d-42e8-b5bd-e692755d03b0", 1)
    assert time.monotonic() - began < sum(central.HEARTBEAT_TIMEOUT) + 1
    gate.thaw()
    gate.shut()
