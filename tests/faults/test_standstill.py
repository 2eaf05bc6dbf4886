"""More real trainings that stand still than the suite has time for."""

import time
from dataclasses import replace
from pathlib import Path

from node.trainers.base import TrainingOrder
from tests.integration.test_standstill import IDLE_S, LIMITS, STOOD_STILL, check_that_it_is_noticed, order, trainers
from tests.integration.test_training import Fact, broken, run

__all__ = ["order"]  # a fixture


def test_a_frozen_trainer_is_noticed_within_three_intervals(order: TrainingOrder, tmp_path: Path) -> None:
    check_that_it_is_noticed(order, tmp_path / "1", trainers)


def test_an_environment_that_answers_no_more_is_noticed(order: TrainingOrder, tmp_path: Path) -> None:
    """It waits for ever in the middle of a step, as behind a connection that swallows everything."""
    hanging = replace(order, environment=broken(tmp_path / "build", "hangs"))
    ending, _ = run(hanging, tmp_path / "1", limits=LIMITS)
    assert (ending.cause, str(ending.error)[: len(STOOD_STILL)]) == ("stalled", STOOD_STILL)


def test_a_long_update_is_no_standstill(order: TrainingOrder, tmp_path: Path) -> None:
    """Its update takes far longer than the idle time."""
    slow = {"num_epoch": 50, "buffer_size": 2048, "batch_size": 64}
    longest, heard = [0.0], [time.monotonic()]

    def look(fact: Fact) -> None:
        if fact["kind"] == "metrics":
            longest[0], heard[0] = max(longest[0], time.monotonic() - heard[0]), time.monotonic()

    few = replace(order, max_steps=3_000, hyperparameters=slow)
    ending, _ = run(few, tmp_path / "1", on_fact=look, limits=LIMITS)
    assert (ending.status, ending.error) == ("succeeded", None)
    assert longest[0] > 1.5 * IDLE_S
