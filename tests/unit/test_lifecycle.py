"""Every state with every change: what is allowed is written out here a second time, by hand."""

import pytest

from coordinator.lifecycle import ACTIVE, FINAL, TRANSITIONS, Change, JobState, advance

S, C = JobState, Change
ENDS = {C.SUCCEEDED: S.SUCCEEDED, C.FAILED: S.FAILED, C.CANCELLED: S.CANCELLED, C.REQUEUED: S.SUBMITTED}
ALLOWED = {
    S.SUBMITTED: {C.CLAIMED: S.RETRIEVED, C.FAILED: S.FAILED, C.CANCELLED: S.CANCELLED},
    S.RETRIEVED: {C.STARTED: S.STARTING, C.CONNECTED: S.RUNNING, **ENDS},
    S.STARTING: {C.CONNECTED: S.RUNNING, **ENDS},
    S.RUNNING: ENDS,
    S.SUCCEEDED: {C.RESUMED: S.SUBMITTED},
    S.FAILED: {C.RECOVERED: S.SUCCEEDED},
    S.CANCELLED: {},
}
ORDER = [S.SUBMITTED, S.RETRIEVED, S.STARTING, S.RUNNING]
NEW_ATTEMPT = {C.REQUEUED, C.RESUMED}


@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("state", JobState)
def test_a_change_leads_where_it_should_or_changes_nothing(state: JobState, change: Change) -> None:
    assert advance(state, change) == ALLOWED[state].get(change)


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(JobState)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_out_of_a_final_state_leads_nothing_but_a_resume_and_a_model_that_comes_late(state: JobState) -> None:
    assert set(TRANSITIONS[state]) <= {C.RESUMED, C.RECOVERED}


def test_every_state_but_the_final_ones_can_end() -> None:
    for state in set(JobState) - FINAL:
        assert {S.FAILED, S.CANCELLED} <= set(TRANSITIONS[state].values())


def test_within_an_attempt_a_state_never_goes_back() -> None:
    for state in ORDER:
        for change, after in TRANSITIONS[state].items():
            if change not in NEW_ATTEMPT and after not in FINAL:
                assert ORDER.index(after) > ORDER.index(state)


def test_no_change_leads_to_the_state_it_came_from() -> None:
    assert all(after != state for state, changes in TRANSITIONS.items() for after in changes.values())


def test_a_late_running_never_overwrites_an_end() -> None:
    assert [advance(state, C.CONNECTED) for state in sorted(FINAL)] == [None, None, None]


def test_what_is_active_is_neither_waiting_nor_over() -> None:
    assert {S.SUBMITTED} | ACTIVE | FINAL == set(JobState)
    assert not ACTIVE & FINAL


def test_games_are_told_only_of_the_six_states_they_know() -> None:
    assert {state.for_games for state in JobState} == {
        "SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED", "FAILED",
    }  # fmt: skip
    assert S.CANCELLED.for_games == "FAILED"
