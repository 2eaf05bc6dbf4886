"""What a game reads on its WebSocket: the frames' text. Pure; field names and numbers are those games already know."""

from typing import Any, Final, Literal, NotRequired
from uuid import UUID

from typing_extensions import TypedDict

from wire.codec import encode

from .lifecycle import JobState

METRICS: Final = 0
ACTIONS: Final = 1
STATUS: Final = 2
ERROR: Final = 10  # numbers from 10 up are ours: games ignore those they do not know
LOG: Final = 11
SKIPPED: Final = 12
CHECKPOINT: Final = 13


class Summary(TypedDict):
    """METRICS as kept for later: a summary of the training without its place in the stream."""

    msg_id: Literal[0]
    behaviour: str
    step: int
    time_elapsed: float
    """Seconds."""
    mean_reward: float
    std_reward: float


class Metrics(Summary):
    """METRICS: a summary of the training in which an episode has ended."""

    seq: int
    """The event's number within the job: 1, 2, 3, without gaps."""
    attempt: int


class Status(TypedDict):
    """STATUS: a job has another state."""

    msg_id: Literal[2]
    run_id: str
    status: str
    """In the six words that games know."""
    seq: int
    attempt: int
    state: str
    """The exact one."""
    error: NotRequired[str]
    """Why the job FAILED or was CANCELLED."""


class Error(TypedDict):
    """ERROR: why the server is about to close."""

    msg_id: Literal[10]
    detail: str
    code: str
    """The same as a word, which stays when the sentence changes."""


class Log(TypedDict):
    """LOG: lines of a log, for clients that ask for them."""

    msg_id: Literal[11]
    source: str
    """trainer or environment."""
    text: str
    """Whole lines."""
    attempt: int
    n: int
    """Grows within an attempt, with gaps."""


class Skipped(TypedDict):
    """SKIPPED: messages of the build are missing here, since this client took them too slowly."""

    msg_id: Literal[12]
    count: int


class Checkpoint(TypedDict):
    """CHECKPOINT: one of the running training is stored: should its node be lost, the training goes on from there."""

    msg_id: Literal[13]
    step: int
    seq: int
    attempt: int


def status(run_id: UUID, seq: int, attempt: int, state: JobState, error: str | None) -> str:
    """STATUS; games know six states, `state` carries the exact one and `error` the cause of a failure."""
    message: Status = {"msg_id": STATUS, "run_id": str(run_id), "status": state.for_games, "seq": seq,
                       "attempt": attempt, "state": str(state)}  # fmt: skip
    return encode({**message, "error": error} if error else message)


def metrics(seq: int, attempt: int, body: dict[str, Any]) -> str | None:
    """METRICS, or None where no episode has ended since the last summary: games need a number."""
    if body["mean_reward"] is None:
        return None
    message: Metrics = {
        "msg_id": METRICS, "behaviour": body["behaviour"], "step": body["step"], "time_elapsed": body["time_elapsed"],
        "mean_reward": body["mean_reward"], "std_reward": body["std_reward"] or 0.0, "seq": seq, "attempt": attempt,
    }  # fmt: skip
    return encode(message)


def log(attempt: int, n: int, source: str, text: str) -> str:
    """LOG: whole lines of the trainer's or the environment's log, for games that ask for them."""
    message: Log = {"msg_id": LOG, "source": source, "text": text, "attempt": attempt, "n": n}
    return encode(message)


def skipped(count: int) -> str:
    """So many messages of the build are missing here, since the game took them too slowly."""
    message: Skipped = {"msg_id": SKIPPED, "count": count}
    return encode(message)


def summary(row: Any) -> str:
    """METRICS as kept for later: a summary, as a row of the table, without its place in the stream."""
    message: Summary = {"msg_id": METRICS, "behaviour": row.behaviour, "step": row.step,
                        "time_elapsed": row.time_elapsed, "mean_reward": row.mean_reward,
                        "std_reward": row.std_reward or 0.0}  # fmt: skip
    return encode(message)


def checkpoint(seq: int, attempt: int, step: int) -> str:
    """A checkpoint of the running training is stored: should its node be lost, the training goes on from there."""
    message: Checkpoint = {"msg_id": CHECKPOINT, "step": step, "seq": seq, "attempt": attempt}
    return encode(message)


def error(detail: str, code: str) -> str:
    """Why the server is about to close the socket, in a sentence and in a word."""
    message: Error = {"msg_id": ERROR, "detail": detail, "code": code}
    return encode(message)
