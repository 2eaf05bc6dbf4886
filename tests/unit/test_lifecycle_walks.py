"""Random walks through the lifecycle: whatever is said in whatever order, a job's story stays one that can be told."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from coordinator.lifecycle import ACTIVE, FINAL, TRANSITIONS, Change, JobState, advance

CHANGES = st.lists(st.sampled_from(Change), max_size=60)


def walk(changes: list[Change]) -> list[tuple[Change | None, JobState]]:
    """The states that a job comes through, each with the change that led to it."""
    story: list[tuple[Change | None, JobState]] = [(None, JobState.SUBMITTED)]
    for change in changes:
        if (state := advance(story[-1][1], change)) is not None:
            story.append((change, state))
    return story


@given(CHANGES)
def test_what_has_ended_is_never_claimed_or_run_before_it_waits_again(changes: list[Change]) -> None:
    story = walk(changes)
    for (_, before), (change, after) in pairwise(story):
        if before in FINAL:
            assert after not in ACTIVE
            assert change not in (Change.REQUEUED, Change.CLAIMED)


@given(CHANGES, st.sampled_from(Change))
def test_what_is_said_twice_changes_nothing_the_second_time(changes: list[Change], again: Change) -> None:
    state = walk(changes)[-1][1]
    once = advance(state, again)
    assert once is None or advance(once, again) is None


@given(CHANGES)
def test_from_wherever_a_job_is_it_can_end(changes: list[Change]) -> None:
    state = walk(changes)[-1][1]
    assert state in FINAL or TRANSITIONS[state].keys() >= {Change.FAILED, Change.CANCELLED}
