"""What a node is told about a training: the answer to its claim. And what a node says it has."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from .names import DEFAULT_TRAINER

DRAINS = ("finish", "hand-over")
"""How a node that takes no more work ends what it has: trains to the end, or saves a checkpoint for the next node."""


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
    agent_id: str = ""
    steps: int = 0
    """As the game asked for."""
    job_type: str = "CREATE"
    trainer: str = "mlagents"

    env_version: str | None = None
    build: dict[str, Any] | None = None
    """The build to fetch: id, url (presigned GET), sha256, size, unpacked_size. None: one of ENVIRONMENTS_DIR."""
    manifest: dict[str, Any] | None = None
    """Of that build, each behaviour with its `configuration` (the trainer YAML's content)."""
    needs_check: bool = False
    """This node has not run this build before: it is to check it first, and to say what it found."""

    num_envs: int = 1
    checkpoint_interval: int | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Laid over the behaviour's configuration."""

    checkpoint_url: str | None = None
    """Presigned GET of the checkpoint to go on from; None starts afresh."""
    checkpoint_sha256: str | None = None
    start_step: int = 0
    """Of that checkpoint."""
    initialize_url: str | None = None
    """Presigned GET of another job's checkpoint: its weights are the first ones of this job, at step 0."""
    initialize_sha256: str | None = None

    threads: int | None = None
    """Of the trainer, as the run that this one goes on from or repeats had them: another number gives other results."""
    memory_mb: int | None = None
    """What all processes of the training may use together; None: what the node allows."""
    time_left_s: float | None = None
    """Seconds for which this attempt may train, of the job's time limit; None: without end."""
    time_limit: int | None = None
    """That limit, in seconds."""
    recording: dict[str, Any] = field(default_factory=dict)
    """Which episodes are recorded: every (n-th; 0 none), max_mb (of the job, what is left of it)."""

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        """Fields this version does not know are ignored. Raises TypeError when one is missing."""
        return cls(**{name: message[name] for name in cls.__dataclass_fields__ if name in message})


@dataclass(frozen=True, slots=True)
class Has:
    """What a node has to offer, as it says with each hello. Defaults: what is known of a node that says nothing."""

    trainers: tuple[str, ...] = (DEFAULT_TRAINER,)
    gpus: tuple[str, ...] = ()
    """Their names, one for each that trainings may use."""
    memory_mb: int = 0
    """What one training may use; 0 where that is not known."""
    threads: int = 1
    """What one training gets."""
    labels: tuple[str, ...] = ()
    slots: int = 1
    disk_free_mb: int = 0
    full: str | None = None
    """Why the node takes no new training, in a sentence; None: it takes them."""
    version: str = ""

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, message: dict[str, Any]) -> Self:
        """Of a message that was checked; fields this version does not know are ignored."""
        known: dict[str, Any] = {name: message[name] for name in cls.__dataclass_fields__ if name in message}
        known |= {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**known)
