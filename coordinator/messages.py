"""What a game reads on its WebSocket: the frames' text. Pure; field names and numbers are those games already know."""

from typing import Any
from uuid import UUID

from wire.codec import encode

from .lifecycle import JobState

METRICS, ACTIONS, STATUS = 0, 1, 2
ERROR, LOG, SKIPPED, CHECKPOINT = 10, 11, 12, 13  # numbers from 10 up are ours: games ignore those they do not know


def status(run_id: UUID, seq: int, attempt: int, state: JobState, error: str | None) -> str:
    """STATUS; games know six states, `state` carries the exact one and `error` the cause of a failure."""
    message = {"msg_id": STATUS, "run_id": str(run_id), "status": state.for_games, "seq": seq, "attempt": attempt,
               "state": str(state)}  # fmt: skip
    return encode(message | {"error": error} if error else message)


def metrics(seq: int, attempt: int, body: dict[str, Any]) -> str | None:
    """METRICS, or None where no episode has ended since the last summary: games need a number."""
    if body["mean_reward"] is None:
        return None
    return encode({
        "msg_id": METRICS, "behaviour": body["behaviour"], "step": body["step"], "time_elapsed": body["time_elapsed"],
        "mean_reward": body["mean_reward"], "std_reward": body["std_reward"] or 0.0, "seq": seq, "attempt": attempt,
    })  # fmt: skip


def log(attempt: int, n: int, source: str, text: str) -> str:
    """LOG: whole lines of the trainer's or the environment's log, for games that ask for them."""
    return encode({"msg_id": LOG, "source": source, "text": text, "attempt": attempt, "n": n})


def skipped(count: int) -> str:
    """So many messages of the build are missing here, since the game took them too slowly."""
    return encode({"msg_id": SKIPPED, "count": count})


def summary(row: Any) -> str:
    """METRICS as kept for later: a summary, as a row of the table, without its place in the stream."""
    return encode({"msg_id": METRICS, "behaviour": row.behaviour, "step": row.step, "time_elapsed": row.time_elapsed,
                   "mean_reward": row.mean_reward, "std_reward": row.std_reward or 0.0})  # fmt: skip


def checkpoint(seq: int, attempt: int, step: int) -> str:
    """A checkpoint of the running training is stored: should its node be lost, the training goes on from there."""
    return encode({"msg_id": CHECKPOINT, "step": step, "seq": seq, "attempt": attempt})


def error(detail: str) -> str:
    """Why the server is about to close the socket."""
    return encode({"msg_id": ERROR, "detail": detail})
