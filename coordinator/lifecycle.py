"""The states of a job and the changes between them. Pure; docs/lifecycle.md draws the same table."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    SUBMITTED = "SUBMITTED"
    """Stored; waits for a training node."""
    RETRIEVED = "RETRIEVED"
    """A node has claimed it."""
    STARTING = "STARTING"
    """The node has started the trainer."""
    RUNNING = "RUNNING"
    """The trainer is connected to its environment."""
    SUCCEEDED = "SUCCEEDED"
    """Trained; the verified model is stored."""
    FAILED = "FAILED"
    """Ended without a model; `error` says why."""
    CANCELLED = "CANCELLED"
    """Ended because somebody asked for it."""

    @property
    def is_final(self) -> bool:
        return self in FINAL

    @property
    def for_games(self) -> str:
        """The same in the six words that games know."""
        return "FAILED" if self is JobState.CANCELLED else str(self)


class Change(StrEnum):
    """What can happen to a job."""

    CLAIMED = "claimed"
    STARTED = "started"
    CONNECTED = "connected"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REQUEUED = "requeued"
    """Its attempt was lost; the next attempt waits for a node."""
    RESUMED = "resumed"
    """Its owner asked for more steps."""
    RECOVERED = "recovered"
    """Its node has stored what could not be stored in time."""


FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
ACTIVE = frozenset({JobState.RETRIEVED, JobState.STARTING, JobState.RUNNING})

_ends = {Change.SUCCEEDED: JobState.SUCCEEDED, Change.FAILED: JobState.FAILED, Change.CANCELLED: JobState.CANCELLED,
         Change.REQUEUED: JobState.SUBMITTED}  # fmt: skip

TRANSITIONS: dict[JobState, dict[Change, JobState]] = {
    JobState.SUBMITTED: {
        Change.CLAIMED: JobState.RETRIEVED,
        Change.FAILED: JobState.FAILED,
        Change.CANCELLED: JobState.CANCELLED,
    },
    JobState.RETRIEVED: {Change.STARTED: JobState.STARTING, Change.CONNECTED: JobState.RUNNING, **_ends},
    JobState.STARTING: {Change.CONNECTED: JobState.RUNNING, **_ends},
    JobState.RUNNING: _ends,
    JobState.SUCCEEDED: {Change.RESUMED: JobState.SUBMITTED},
    JobState.FAILED: {Change.RECOVERED: JobState.SUCCEEDED},
    JobState.CANCELLED: {},
}


def advance(state: JobState, change: Change) -> JobState | None:
    """The state after `change`, or None where it changes nothing: late and repeated news are no errors."""
    return TRANSITIONS[state].get(change)
