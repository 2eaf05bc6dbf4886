"""Real trainings that stand still, and some that only seem to: what their processes do is what the node goes by."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.guards import Limits
from node.ports import hold_base_port
from node.trainers.base import Ending, TrainingOrder
from tests.integration.test_training import Fact, make_order, reach1d, read_of, run
from tests.integration.trainings import trainings

IDLE_S = 4.0
LIMITS = Limits(stall_s=120, idle_s=IDLE_S)
STOOD_STILL = "The training stood still: it made no step for "


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = trainings()
    yield
    assert trainings() <= before


@pytest.fixture
def order(tmp_path: Path) -> Iterator[TrainingOrder]:
    with hold_base_port() as port:
        yield replace(make_order(reach1d(), port), max_steps=1_000_000)


def environments() -> list[int]:
    return [pid for pid in trainings() if b"\0--mlagents-port\0" in read_of(pid, "cmdline")]


def trainers() -> list[int]:
    """The trainer's own process: of those that are called as it is, the one that the others come from."""
    called = {pid for pid in trainings() if b"\0-m\0node.trainers.mlagents_launcher" in read_of(pid, "cmdline")[:200]}
    return sorted(called)[:1]


def train_and(do: Callable[[], object], order: TrainingOrder, folder: Path, **options: Any) -> tuple[Ending, float]:
    """The ending of a training to which something is done once it makes steps, and the seconds from then to its end."""
    done: list[float] = []

    def look(fact: Fact) -> None:
        if fact.get("step", 0) >= 3_000 and not done:
            done.append(time.monotonic())
            do()

    ending, _ = run(order, folder, on_fact=look, limits=LIMITS, **options)
    return ending, time.monotonic() - done[0]


def freeze(wanted: Callable[[], list[int]]) -> None:
    (pid,) = wanted()
    os.kill(pid, signal.SIGSTOP)


def check_that_it_is_noticed(order: TrainingOrder, folder: Path, frozen: Callable[[], list[int]]) -> None:
    ending, seconds = train_and(lambda: freeze(frozen), order, folder)
    assert (ending.status, ending.cause) == ("failed", "stalled")
    assert str(ending.error).startswith(STOOD_STILL)
    assert seconds < 3 * IDLE_S, ending.error
    assert "log" in {artifact.kind for artifact in ending.artifacts}


def test_a_frozen_environment_is_noticed_within_three_intervals(order: TrainingOrder, tmp_path: Path) -> None:
    """Though its trainer asks for an answer all the time, which keeps a core busy."""
    check_that_it_is_noticed(order, tmp_path / "1", environments)
