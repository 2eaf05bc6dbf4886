"""What a node says of a file that it has put into staging while its attempt still runs."""

from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from .facts import Artifact, as_object, uuid_of, whole

ANSWERS = ("wait", "resend", "stored", "keep", "unknown")
"""What is to become of the files of an attempt that was handed in: the node waits; uploads some of them again; removes
them; keeps them for somebody who sends them again; the coordinator knows no such attempt (any more)."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The argument of the task `coord.uploaded`: a checkpoint, a log so far, a piece of a recording."""

    run_id: UUID
    attempt: int
    artifact: Artifact

    def to_wire(self) -> dict[str, Any]:
        return {"run_id": str(self.run_id), "attempt": self.attempt, "artifact": self.artifact.to_wire()}

    @classmethod
    def from_wire(cls, message: Any) -> Self:
        """Raises BadFact with a sentence for anything that is not one."""
        its = as_object(message, "An upload")
        return cls(uuid_of(its.get("run_id")), whole(its.get("attempt"), "attempt", 1),
                   Artifact.from_wire(its.get("artifact")))  # fmt: skip
