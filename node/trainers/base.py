"""What the node asks of a trainer and what it gets back; the trainers themselves are found by name.

A trainer never runs inside the node's process: it says which command to start, and later what the folder holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from wire.trainers import TRAINERS as TRAINERS

Status = Literal["succeeded", "failed", "stopped"]
Cause = Literal["user", "memory", "node", "stalled", "time_limit", "storage", "drained"]
"""One of wire.facts.CAUSES."""


@dataclass(frozen=True)
class EnvironmentBuild:
    """One environment on this machine's disk: its folder and the content of its manifest.json."""

    folder: Path
    manifest: Mapping[str, Any]
    sha256: str | None = None  # of the archive that it came in; None for a build of ENVIRONMENTS_DIR


@dataclass(frozen=True)
class TrainingOrder:
    """Everything that decides what one attempt trains. `max_steps` is the absolute total, also when resuming."""

    run_id: str
    attempt: int
    behaviour: str
    environment: EnvironmentBuild
    max_steps: int
    num_of_areas: int
    seed: int
    base_port: int
    device: str = "cpu"
    resume_from: Path | None = None  # a checkpoint.pt; copied into the workspace, never changed
    initialize_from: Path | None = None  # one of another job: only its weights are taken, the steps begin at 0
    num_envs: int = 1  # environments at the same time, on the ports from base_port up
    checkpoint_interval: int | None = None  # steps; None for the trainer's own choice
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # laid over the behaviour's configuration
    steps: int = 0  # that the newest request asked for; 0 for all of max_steps
    memory_bytes: int | None = None  # for the try of a build; what a training may use is in its Limits


@dataclass(frozen=True)
class Artifact:
    """A file that a training left. Kinds: model, checkpoint, configuration, log, environment_log, timers,
    training_status, tensorboard. `manifest` says what is inside (the model's comes from the model check), `name` is
    what people download it as, the usual one of its kind (wire.facts.KINDS) when not said."""

    kind: str
    path: Path
    manifest: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. `error` is one sentence for a game developer, `cause` why; both None unless failed."""

    status: Status
    error: str | None = None
    cause: Cause | None = None
    log_tail: str = ""
    artifacts: tuple[Artifact, ...] = ()
    step: int = 0
    mean_reward: float | None = None


def cause_of(said: object) -> Cause:
    """What a trainer's process has said to be the cause; the user's fault where it said nothing that is one."""
    return cast(Cause, said) if said in get_args(Cause) else "user"


class TrainingRefused(Exception):
    """The order cannot be trained (any more); the message is the sentence for the game developer."""

    def __init__(self, sentence: str, cause: Cause = "user", log_tail: str = "") -> None:
        super().__init__(sentence)
        self.cause: Cause = cause
        self.log_tail = log_tail


@dataclass(frozen=True)
class Machine:
    """What the node's configuration says about this machine, as far as a trainer cares."""

    trainer_python: str
    environ: Mapping[str, str]  # the node's own environment; only harmless variables of it reach the trainer
    threads: int = 1  # fixed, because the thread count changes the numbers
    connect_timeout_s: int = 60  # how long an environment may take to connect


@dataclass(frozen=True)
class Command:
    """What to start, and with which complete environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Evidence:
    """What is known of a trainer that has ended: never its exit code alone."""

    exit_code: int
    facts: tuple[Mapping[str, Any], ...]  # the trainer's last word of each kind: connected, broken, error, finished ...


class Trainer(Protocol):
    """One way of training. Stateless: everything it knows is in the order and the workspace."""

    packages: tuple[str, ...]  # without which the trainer's Python cannot train this way

    def prepare(self, order: TrainingOrder, workspace: Path, machine: Machine) -> Command:
        """Write what the trainer needs into the workspace. Raises TrainingRefused."""

    def collect(self, order: TrainingOrder, workspace: Path) -> tuple[Artifact, ...]:
        """The files that a training left in the workspace, as far as they exist."""

    def explain(self, order: TrainingOrder, evidence: Evidence) -> TrainingRefused | None:
        """Why the training failed, or None when nothing speaks against it."""


def load_trainer(name: str) -> Trainer:
    """The trainer of that name. Raises TrainingRefused for a name that is not registered."""
    if name not in TRAINERS:
        raise TrainingRefused(f'There is no trainer "{name}"; there is {", ".join(sorted(TRAINERS))}.')
    module, attribute = TRAINERS[name].implementation.split(":")
    return cast(Trainer, getattr(import_module(module), attribute)())
