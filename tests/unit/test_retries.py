"""What follows from the end of an attempt, by its kind: another attempt, or the end of the job."""

from uuid import uuid4

import pytest

from coordinator.retries import LOST_IN_A_ROW, RULES, Ended, kind_of, why_not_again
from wire.facts import CAUSES, Outcome

CAUSE = "It broke."


def end(*kinds: str, most: int = 3) -> str | None:
    """What is said after attempts of these kinds, none of which stored a checkpoint."""
    return why_not_again([Ended(kind) for kind in kinds], CAUSE, most)


def test_there_is_a_rule_for_every_cause() -> None:
    assert set(RULES) == set(CAUSES)


@pytest.mark.parametrize("kind", ["user", "time_limit", "storage"])
def test_what_would_fail_the_same_way_again_ends_the_job_with_its_cause(kind: str) -> None:
    assert end(kind) == CAUSE
    assert end("lost", "node", kind) == CAUSE


def test_want_of_memory_is_tried_once_more() -> None:
    assert end("memory") is None
    assert end("memory", "lost", "memory") == "It was started 3 times; the last time: It broke."
    assert end("memory", most=1) == "It was started once; the last time: It broke."


def test_failures_of_nodes_and_standing_still_are_bounded_together() -> None:
    assert end("node", "stalled") is None
    assert end("node", "stalled", "node") == "It was started 3 times; the last time: It broke."
    assert end("memory", "stalled", "node") is not None


def test_attempts_that_were_lost_or_drained_are_not_counted() -> None:
    assert end("lost", "drained", "lost", "node", "drained", "stalled", "lost") is None
    assert end("node", "lost", "node", "drained", "node") == (
        "It was started 5 times, 2 of which do not count; the last time: It broke."
    )
    assert end(*["drained"] * 100) is None


def test_a_job_that_takes_its_nodes_with_it_does_not_do_so_for_ever() -> None:
    assert end(*["lost"] * (LOST_IN_A_ROW - 1)) is None
    assert end(*["lost"] * 5, "drained", *["lost"] * 4) is None
    assert end(*["lost"] * 5, "drained", *["lost"] * 5) == (
        "It was started 11 times and lost 10 times in a row without a new checkpoint; the last time: It broke."
    )


def test_a_job_that_got_further_before_it_was_lost_goes_on() -> None:
    row = [Ended("lost")] * 6 + [Ended("lost", made_progress=True)] + [Ended("lost")] * 9
    assert why_not_again(row, CAUSE, 3) is None
    assert why_not_again([*row, Ended("lost")], CAUSE, 3) is not None


def outcome(status: str, cause: str | None = None, error: str | None = None) -> Outcome:
    return Outcome(uuid4(), 1, status, 0, error, cause=cause)


@pytest.mark.parametrize(
    ("said", "is_cancelled", "kind"),
    [
        (outcome("succeeded"), True, "succeeded"),
        (outcome("stopped"), True, "cancelled"),
        (outcome("stopped"), False, "drained"),
        (outcome("stopped", "drained"), False, "drained"),
        (outcome("interrupted", "drained"), True, "drained"),
        (outcome("failed", "stalled"), False, "stalled"),
        (outcome("interrupted", "node"), False, "node"),
        (outcome("failed", error="It broke."), False, "user"),
        (outcome("interrupted", error="The training node was shut down."), False, "drained"),
        (outcome("interrupted", error="The training node was restarted during the training."), False, "lost"),
        (outcome("interrupted", error="The training node's disk is full."), False, "node"),
        (outcome("interrupted"), False, "drained"),
    ],
)
def test_an_outcome_is_of_the_kind_that_its_node_says_or_meant(said: Outcome, is_cancelled: bool, kind: str) -> None:
    assert kind_of(said, is_cancelled) == kind
