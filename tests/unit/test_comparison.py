"""What is said of a rerun: identical only when everything is."""

from dataclasses import replace
from typing import Any

from coordinator.comparison import MOST_LINES, Run, compare

METRICS = [{"step": 500, "mean_reward": None}, {"step": 1_000, "mean_reward": 0.5}]
FIRST = Run("SUCCEEDED", None, 1, {"seed": 1, "packages": {"torch": "2"}}, METRICS, {"model": "a", "checkpoint": "b"})


def test_the_same_is_identical() -> None:
    found = compare(FIRST, FIRST)
    assert found["identical"]
    assert found["metrics"] == {"identical": True, "summaries": [2, 2], "first_difference": None}


def test_one_bit_is_enough_to_differ() -> None:
    other = [METRICS[0], {"step": 1_000, "mean_reward": 0.5000000000000001}]
    found = compare(FIRST, replace(FIRST, metrics=other))
    assert not found["identical"]
    assert found["metrics"]["first_difference"]["step"] == 1_000


def test_summaries_that_are_missing_are_counted() -> None:
    found = compare(FIRST, replace(FIRST, metrics=METRICS[:1]))
    assert found["summary"] == "Not identical: there are 1 summaries instead of 2. The bundles are the same."


def test_nothing_was_measured_is_not_the_same() -> None:
    assert not compare(replace(FIRST, metrics=[]), replace(FIRST, metrics=[]))["identical"]


def test_a_missing_checkpoint_is_a_difference() -> None:
    found = compare(FIRST, replace(FIRST, files={"model": "a"}))
    assert (found["identical"], found["checkpoint"]["identical"]) == (False, False)


def test_identical_numbers_on_another_machine_are_identical_and_the_lines_are_told() -> None:
    found = compare(FIRST, replace(FIRST, bundle={"seed": 1, "packages": {"torch": "3"}}))
    assert found["identical"]
    assert found["differences"] == [{"line": "packages.torch", "then": "2", "now": "3"}]
    assert found["summary"].endswith("The bundles differ in packages.torch.")


def test_a_bundle_that_was_not_kept_is_told() -> None:
    found = compare(replace(FIRST, bundle=None), FIRST)
    assert {"line": "bundle", "then": None, "now": "kept"} in found["differences"]


def test_very_different_bundles_are_told_in_bounds() -> None:
    wide: Any = {str(n): n for n in range(1_000)}
    found = compare(FIRST, replace(FIRST, bundle=wide))
    assert len(found["differences"]) == MOST_LINES
    assert len(found["summary"]) < 300
