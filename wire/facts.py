"""What a node reports of an attempt: facts on the event queue, and the outcome as the task's return value.

A fact is immutable and numbered (`n` = 1, 2, 3, ... within its attempt), so a repeat is recognised and a gap is seen.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from .codec import encode

PHASES = ("STARTING", "RUNNING")
OUTCOMES = ("succeeded", "failed", "stopped", "interrupted")
CAUSES = ("user", "memory", "node", "stalled", "time_limit", "storage", "drained", "lost")
"""Why an attempt that did not succeed ended: the user's configuration or environment; want of memory; the node's fault;
no step for too long; the job's time limit; files that could not be stored; the node was told to stop; it was killed."""
MAX_STATISTICS = 256
MAX_ERROR_CHARACTERS = 2_000
MAX_LOG_CHARACTERS = 16_000
MAX_MANIFEST_CHARACTERS = 256_000
MAX_ARTIFACTS = 64
MAX_LOG_PIECE_CHARACTERS = 64_000
LOG_SOURCES = ("trainer", "environment")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
KINDS = {
    "model": "model.onnx",
    "checkpoint": "checkpoint.pt",
    "configuration": "configuration.yaml",
    "bundle": "bundle.json",
    "log": "trainer.log",
    "environment_log": "unity.log",
    "timers": "timers.json",
    "training_status": "training_status.json",
    "tensorboard": "events.out.tfevents",
    "recording": "recording",
}
"""Kinds of files that a training yields, each with its usual name."""


class BadFact(ValueError):
    """A message from a node that does not keep to this vocabulary. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One numbered thing that happened in an attempt; `kind` is "phase", "metrics" or "log"."""

    run_id: UUID
    attempt: int
    n: int
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the attempt that lies in staging under its `name`; `kind` is one of KINDS, `manifest` describes it."""

    kind: str
    sha256: str
    size: int
    manifest: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    """As people download it; the usual one of its kind when not said."""
    step: int | None = None
    """The training's step that it belongs to."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or KINDS[self.kind])

    def to_wire(self) -> dict[str, Any]:
        return {"kind": self.kind, "sha256": self.sha256, "size": self.size, "manifest": self.manifest,
                "name": self.name, "step": self.step}  # fmt: skip

    @classmethod
    def from_wire(cls, message: Any) -> Self:
        as_object(message, "An artifact")
        sha256, size, kind = message.get("sha256"), message.get("size"), message.get("kind")
        if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise BadFact("An artifact's sha256 must be 64 lower-case hexadecimal digits.")
        if not isinstance(kind, str) or kind not in KINDS:
            raise BadFact(f"An artifact's kind must be one of {', '.join(KINDS)}, not {str(kind)[:80]!r}.")
        step, name = message.get("step"), message.get("name") or KINDS[kind]
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            raise BadFact(f"An artifact's name must be letters, digits, '.', '_', '-', not {str(name)[:80]!r}.")
        return cls(kind, sha256, whole(size, "An artifact's size"), _manifest(message.get("manifest") or {}), name,
                   None if step is None else whole(step, "An artifact's step"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `facts_sent` is the number of its last fact: the outcome is told after all of them."""

    run_id: UUID
    attempt: int
    status: str
    facts_sent: int
    error: str | None = None
    steps: int = 0
    mean_reward: float | None = None
    log_tail: str = ""
    artifacts: tuple[Artifact, ...] = ()
    cause: str | None = None
    """One of CAUSES for an attempt that did not succeed; None where nobody has said, or it was cancelled."""
    achieved: str | None = None
    """Of an attempt that ended for want of storage: the status that it has once its artifacts are stored."""
    kept: bool = False
    """Whether its node keeps the files until it hears that they are verified, so that it can send them once more."""

    def to_wire(self) -> dict[str, Any]:
        return {
            "run_id": str(self.run_id), "attempt": self.attempt, "status": self.status, "facts_sent": self.facts_sent,
            "error": self.error, "steps": self.steps, "mean_reward": self.mean_reward, "log_tail": self.log_tail,
            "artifacts": [artifact.to_wire() for artifact in self.artifacts], "cause": self.cause,
            "achieved": self.achieved,
            "kept": self.kept,
        }  # fmt: skip

    @classmethod
    def from_wire(cls, message: Any) -> Self:
        """Raises BadFact with a sentence for anything that is not an outcome."""
        as_object(message, "An outcome")
        status = message.get("status")
        if status not in OUTCOMES:
            raise BadFact(f"An outcome's status must be one of {', '.join(OUTCOMES)}, not {status!r}.")
        reward, artifacts = message.get("mean_reward"), message.get("artifacts") or []
        if not isinstance(artifacts, list) or len(artifacts) > MAX_ARTIFACTS:
            raise BadFact(f"An outcome's artifacts must be a list of at most {MAX_ARTIFACTS}.")
        cause = message.get("cause")
        if cause is not None and cause not in CAUSES:
            raise BadFact(f"An outcome's cause must be one of {', '.join(CAUSES)}, not {str(cause)[:80]!r}.")
        return cls(
            uuid_of(message.get("run_id")), whole(message.get("attempt"), "attempt", 1), status,
            whole(message.get("facts_sent"), "facts_sent"), _text(message.get("error"), MAX_ERROR_CHARACTERS) or None,
            whole(message.get("steps", 0), "steps"), None if reward is None else _finite(reward, "mean_reward"),
            _text(message.get("log_tail"), MAX_LOG_CHARACTERS), tuple(Artifact.from_wire(a) for a in artifacts), cause,
            _achieved(message.get("achieved")),
            message.get("kept") is True,
        )  # fmt: skip


def _achieved(status: Any) -> str | None:
    if status is not None and status not in OUTCOMES:
        raise BadFact(f"What an outcome achieved must be one of {', '.join(OUTCOMES)}, not {str(status)[:80]!r}.")
    return None if status is None else str(status)


def facts_to_wire(run_id: UUID | str, attempt: int, facts: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """The fields of one `training-facts` event: a batch of numbered facts of one attempt."""
    return {"run_id": str(run_id), "attempt": attempt, "facts": [{"n": n, **fact} for n, fact in facts]}


def facts_from_wire(message: dict[str, Any]) -> list[Fact]:
    """The batch of one event. Raises BadFact with a sentence for anything that is not one."""
    run_id, attempt = uuid_of(message.get("run_id")), whole(message.get("attempt"), "attempt", 1)
    batch = message.get("facts")
    if not isinstance(batch, list) or not batch:
        raise BadFact("An event's facts must be a list of at least one.")
    return [_fact(run_id, attempt, item) for item in batch]


def _fact(run_id: UUID, attempt: int, item: Any) -> Fact:
    body = dict(as_object(item, "A fact"))
    n, kind = whole(body.pop("n", None), "n", 1), body.pop("kind", None)
    if kind == "phase":
        if body.get("phase") not in PHASES:
            raise BadFact(f"A phase must be one of {', '.join(PHASES)}, not {body.get('phase')!r}.")
        return Fact(run_id, attempt, n, kind, {"phase": body["phase"]})
    if kind == "metrics":
        return Fact(run_id, attempt, n, kind, _metrics(body))
    if kind == "log":
        return Fact(run_id, attempt, n, kind, _log(body))
    raise BadFact(f"A fact's kind must be phase, metrics or log, not {str(kind)[:80]!r}.")


def _log(body: dict[str, Any]) -> dict[str, Any]:
    """Whole lines of one log, as many as came together."""
    if body.get("source") not in LOG_SOURCES:
        raise BadFact(f"A log's source must be one of {', '.join(LOG_SOURCES)}, not {str(body.get('source'))[:80]!r}.")
    return {"source": body["source"], "text": _text(body.get("text"), MAX_LOG_PIECE_CHARACTERS)}


def _metrics(body: dict[str, Any]) -> dict[str, Any]:
    """`mean_reward` and `std_reward` are None when no episode has ended since the last summary."""
    behaviour = body.get("behaviour")
    if not isinstance(behaviour, str) or not 0 < len(behaviour) <= 200:
        raise BadFact("A metric's behaviour must be a name of 1 to 200 characters.")
    statistics = as_object(body.get("statistics") or {}, "A metric's statistics")
    if len(statistics) > MAX_STATISTICS:
        raise BadFact(f"A metric carries at most {MAX_STATISTICS} statistics, not {len(statistics)}.")
    rewards = {name: None if body.get(name) is None else _finite(body[name], name)
               for name in ("mean_reward", "std_reward")}  # fmt: skip
    return {
        "behaviour": behaviour, "step": whole(body.get("step"), "step"),
        "time_elapsed": _finite(body.get("time_elapsed"), "time_elapsed"), **rewards,
        "statistics": {_text(name, 200): _statistic(value) for name, value in statistics.items()},
    }  # fmt: skip


def _statistic(value: Any) -> dict[str, float]:
    return {str(part)[:16]: _finite(number, "A statistic") for part, number in as_object(value, "A statistic").items()}


def as_object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFact(f"{name} must be a JSON object, not {type(value).__name__}.")
    return value


def _manifest(value: Any) -> dict[str, Any]:
    """JSON that the database takes as it is: of bounded size, its numbers finite, its text without NUL."""
    try:
        text = encode(as_object(value, "An artifact's manifest"))
        text.encode()
    except (ValueError, RecursionError):
        raise BadFact("An artifact's manifest must be JSON with finite numbers and whole characters.") from None
    if len(text) > MAX_MANIFEST_CHARACTERS or "\\u0000" in text:
        raise BadFact(f"An artifact's manifest may have {MAX_MANIFEST_CHARACTERS} characters, and none may be NUL.")
    return dict(value)


def uuid_of(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise BadFact(f"run_id must be a UUID, not {str(value)[:80]!r}.") from None


def whole(value: Any, name: str, least: int = 0) -> int:
    if type(value) is not int or not least <= value < 2**53:
        raise BadFact(f"{name} must be a whole number from {least} up, not {str(value)[:80]!r}.")
    return value


def _finite(value: Any, name: str) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    except OverflowError:
        raise BadFact(f"{name} must be a finite number, not one of {len(str(value))} digits.") from None
    raise BadFact(f"{name} must be a finite number, not {str(value)[:80]!r}.")


def _text(value: Any, most: int) -> str:
    """Text kept to a bound, without NUL and half characters: PostgreSQL stores neither."""
    return "" if value is None else str(value).replace("\0", "")[:most].encode("utf-8", "replace").decode()
