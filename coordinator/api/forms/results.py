"""How what a training has left looks: metrics, files, models, episodes, and what decided the result."""

from typing import Any

from typing_extensions import TypedDict

from . import Count, Json, Moment, Number, Sha256


class Summary(TypedDict):
    """A summary of the training, as METRICS has it, with every statistic that the trainer wrote."""

    behaviour: str
    step: Count
    time_elapsed: float
    """Seconds."""
    mean_reward: float | None
    """Null when no episode has ended since the last summary."""
    std_reward: float | None
    attempt: Number
    statistics: Json
    """Name to an object of numbers."""


class FileForm(TypedDict):
    """A file that a training has left."""

    name: str
    kind: str
    """model, checkpoint, configuration, bundle, log, environment_log, timers, training_status, tensorboard, recording
    or metrics."""
    size: Count | None
    """Null for a file that is made when it is asked for."""
    sha256: Sha256 | None
    attempt: Number | None
    step: Count | None
    """Of checkpoints and models."""
    created_at: Moment | None


class ActionsForm(TypedDict):
    """As ML-Agents counts actions."""

    continuous: Count
    discrete: list[Count]
    """Sizes of the branches."""


class Model(TypedDict, total=False):
    """A model and its manifest."""

    version: Number
    """Counted within the job."""
    attempt: Number
    step: Count | None
    created_at: Moment
    sha256: Sha256
    size: Count
    behaviour: str
    observation_shapes: list[list[int]]
    actions: ActionsForm
    inputs: dict[str, list[int]]
    """Name to shape; -1 for the batch."""
    outputs: dict[str, list[int]]
    opset: Number
    steps: Count
    mean_reward: float | None
    versions: dict[str, str]
    """Of mlagents, torch, onnx, python ..."""
    env_id: str
    env_version: str | None


class EpisodeForm(TypedDict):
    """A recorded episode."""

    attempt: Number
    number: Number
    """Within the attempt."""
    instance: Count
    """Which of the job's environments."""
    messages: Count
    size: Count
    """Bytes."""
    seconds: float
    """From its begin to its last message."""
    began_at: Moment
    is_complete: bool
    """Whether the begin of another episode was seen."""


class Bundle(TypedDict, total=False):
    """Everything that decided the result of an attempt. What the trainer has not told is null."""

    seed: Count
    max_steps: Count
    num_envs: Number
    areas: Number
    start: Json
    """`from` what, and the checkpoint's `sha256`."""
    configuration: Json | None
    """As the trainer has resolved it."""
    environment: Json
    """`env_id`, `version`, `sha256`."""
    python: str | None
    packages: Json | None
    """The exact version of each."""
    driver: Any
    """PyTorch, CUDA, cards."""
    threads: Any
    device: str
    hardware: Json
    command: list[Any]
    left_out: str
    """What differs in any two runs, and is therefore not here."""
