"""What a node is told about a training: the answer to its claim."""

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class JobSpec:
    """All that a node needs for one attempt. `max_steps` is absolute: steps trained before plus steps asked for."""

    run_id: str
    attempt: int
    env_id: str
    behaviour: str
    max_steps: int
    num_of_areas: int
    seed: int
    agent_config: str
    checkpoint_url: str | None = None
    """Presigned GET of the checkpoint to go on from; None starts afresh."""
    checkpoint_sha256: str | None = None

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        """Fields this version does not know are ignored. Raises TypeError when one is missing."""
        return cls(**{name: message[name] for name in cls.__dataclass_fields__ if name in message})
