"""The frames games read: their fields and number forms are fixed, what is new comes in fields of its own."""

import json
from typing import Any
from uuid import UUID

import pytest

from coordinator import messages
from coordinator.lifecycle import JobState

RUN = UUID("6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a")
METRIC: dict[str, Any] = {
    "behaviour": "RobotWave", "step": 10_000, "time_elapsed": 12.345, "mean_reward": -0.123, "std_reward": 0.456,
    "statistics": {"Losses/Policy Loss": {"mean": 0.02}},
}  # fmt: skip


def test_a_metrics_message_has_what_games_read_and_its_number() -> None:
    assert json.loads(messages.metrics(7, 2, METRIC) or "") == {
        "msg_id": 0, "behaviour": "RobotWave", "step": 10_000, "time_elapsed": 12.345, "mean_reward": -0.123,
        "std_reward": 0.456, "seq": 7, "attempt": 2,
    }  # fmt: skip


def test_a_summary_without_an_episode_is_no_message() -> None:
    assert messages.metrics(7, 1, METRIC | {"mean_reward": None}) is None


def test_a_summary_of_a_single_episode_deviates_by_nothing() -> None:
    assert json.loads(messages.metrics(7, 1, METRIC | {"std_reward": None}) or "")["std_reward"] == 0.0


@pytest.mark.parametrize("state", JobState)
def test_a_status_message_says_the_state_in_the_games_words_and_exactly(state: JobState) -> None:
    assert json.loads(messages.status(RUN, 3, 1, state, None)) == {
        "msg_id": 2, "run_id": str(RUN), "status": state.for_games, "seq": 3, "attempt": 1, "state": str(state),
    }  # fmt: skip


def test_a_failure_carries_its_cause() -> None:
    assert json.loads(messages.status(RUN, 3, 1, JobState.FAILED, 'It said "no".'))["error"] == 'It said "no".'


def test_an_error_uses_a_number_that_games_ignore() -> None:
    assert json.loads(messages.error("No.", "not_found")) == {
        "msg_id": 10, "detail": "No.", "code": "not_found",
    }  # fmt: skip


@pytest.mark.parametrize("frame", [
    messages.status(RUN, 1, 1, JobState.RUNNING, "Zeile\n\u00e4 \u2028 \U0001f600"), messages.metrics(1, 1, METRIC),
    messages.error("line\nbreak", "bad_request"),
])  # fmt: skip
def test_every_frame_is_one_line_with_a_json_object(frame: str) -> None:
    assert "\n" not in frame
    assert isinstance(json.loads(frame), dict)
