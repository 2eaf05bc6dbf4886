"""More real trainings that stand still than the suite has time for."""

from dataclasses import replace
from pathlib import Path

from node.trainers.base import TrainingOrder
from tests.integration.test_standstill import LIMITS, STOOD_STILL, check_that_it_is_noticed, order, trainers
from tests.integration.test_training import broken, run

__all__ = ["order"]  # a fixture


def test_a_frozen_trainer_is_noticed_within_three_intervals(order: TrainingOrder, tmp_path: Path) -> None:
    check_that_it_is_noticed(order, tmp_path / "1", trainers)


def test_an_environment_that_answers_no_more_is_noticed(order: TrainingOrder, tmp_path: Path) -> None:
    """It waits for ever in the middle of a step, as behind a connection that swallows everything."""
    hanging = replace(order, environment=broken(tmp_path / "build", "hangs"))
    ending, _ = run(hanging, tmp_path / "1", limits=LIMITS)
    assert (ending.cause, str(ending.error)[: len(STOOD_STILL)]) == ("stalled", STOOD_STILL)
