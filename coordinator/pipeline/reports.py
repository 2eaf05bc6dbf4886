"""What can be reported of an attempt, and what a pipeline's steps hand on to each other."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from wire.facts import Fact, Outcome
from wire.uploads import Upload

from ..ledger import Logged, Told


@dataclass(slots=True)
class Report:
    """Base of all. `told` collects the events that the steps stored and that are still to be told to games."""

    told: list[Told] = field(default_factory=list, kw_only=True)


@dataclass(slots=True)
class FactsReported(Report):
    """A batch of facts of any attempts, in the order in which they came."""

    facts: list[Fact]
    logged: list[Logged] = field(default_factory=list, kw_only=True)


@dataclass(slots=True)
class OutcomeReported(Report):
    """An attempt's training task has returned."""

    outcome: Outcome


@dataclass(slots=True)
class FileUploaded(Report):
    """A node has put a file of an attempt into staging. `key` is where it lies once it is verified; None: refused."""

    upload: Upload
    key: str | None = field(default=None, kw_only=True)


@dataclass(slots=True)
class AttemptComplete(Report):
    """An attempt's outcome and every fact before it are recorded: it can be ended."""

    run_id: UUID
    attempt: int
    settled: dict[str, Any] | None = field(default=None, kw_only=True)
    """The outcome as it is once its files were looked at. None: it does not end yet, for its node is to upload files
    again first, or another copy of this report is at work."""


@dataclass(slots=True)
class AttemptLost(Report):
    """An attempt's node is gone, or its worker process died; `cause` is a sentence, with {node} for the node's name.

    With `only_if_silent` the attempt is left alone when a heartbeat has come in since somebody looked. `is_fault`: a
    node that is there and was not told to stop is to blame.
    """

    run_id: UUID
    attempt: int
    cause: str
    only_if_silent: bool = False
    is_fault: bool = False
