"""What follows from the end of an attempt: is the job started again, or is that its end? Pure.

It depends on what ended the attempt (its kind) and on what ended those before it, since the newest request for the job.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wire.facts import Outcome

SUCCEEDED, CANCELLED, LOST, DRAINED, NODE, USER = "succeeded", "cancelled", "lost", "drained", "node", "user"
LOST_IN_A_ROW = 10
"""After so many lost attempts, none with a checkpoint of its own, it is the job that takes nodes with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an end of one kind means for the job."""

    again: int | None
    """How often the job is started again after it, in all; None: without such a bound."""
    is_counted: bool = False
    """Whether it is one of the MAX_ATTEMPTS."""


NEVER = Rule(again=0)
RULES = {
    "user":       NEVER,
    "time_limit": NEVER,
    "storage":    NEVER,  # its files wait on the node: they are sent again, not trained again
    "memory":     Rule(again=1, is_counted=True),
    "stalled":    Rule(again=None, is_counted=True),
    "node":       Rule(again=None, is_counted=True),
    "lost":       Rule(again=None),  # but see LOST_IN_A_ROW
    "drained":    Rule(again=None),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over."""

    kind: str
    made_progress: bool = False
    """Whether a checkpoint of its own was stored."""


def why_not_again(ended: Sequence[Ended], cause: str, max_attempts: int) -> str | None:
    """None: the job is started again. Otherwise the sentence with which it fails. `ended` are the attempts of its
    newest request, oldest first; `cause` is the newest one's."""
    last, starts = ended[-1], len(ended)
    rule, counted = RULES[last.kind], sum(RULES[it.kind].is_counted for it in ended)
    if rule == NEVER:
        return cause
    if rule.again is not None and sum(it.kind == last.kind for it in ended) > rule.again:
        return _sentence(starts, "", cause)
    if rule.is_counted and counted >= max_attempts:
        return _sentence(starts, f", {starts - counted} of which do not count" if starts > counted else "", cause)
    if last.kind == LOST and _lost_in_a_row(ended) >= LOST_IN_A_ROW:
        return _sentence(starts, f" and lost {LOST_IN_A_ROW} times in a row without a new checkpoint", cause)
    return None


def _sentence(starts: int, more: str, cause: str) -> str:
    return f"It was started {'once' if starts == 1 else f'{starts} times'}{more}; the last time: {cause}"


def _lost_in_a_row(ended: Sequence[Ended]) -> int:
    """Those that were drained are passed over: they neither count nor part the others."""
    row = 0
    for it in reversed([it for it in ended if it.kind != DRAINED]):
        if it.kind != LOST or it.made_progress:
            break
        row += 1
    return row


def kind_of(said: Outcome, is_cancelled: bool) -> str:
    """The kind of an attempt that has handed in this outcome. Older nodes say no cause."""
    if said.status == "succeeded":
        return SUCCEEDED
    if said.status == "stopped" and is_cancelled:
        return CANCELLED
    if said.cause:
        return said.cause
    if said.status == "stopped":
        return DRAINED
    return USER if said.status == "failed" else _of_the_interrupted(said.error or "")


def _of_the_interrupted(error: str) -> str:
    if not error or "shut down" in error:
        return DRAINED
    return LOST if "restarted" in error else NODE
