"""How a job looks: TrainJob, its attempts, and what a rerun has shown."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from ...lifecycle import JobState
from . import Count, Id, Json, Moment, Number, Sha256, User, one_of


class NnModelForm(TypedDict):
    """Which behaviour is trained, for how many steps, as asked for last."""

    behavior_name: str
    steps: Number


class EnvForm(TypedDict):
    """In which environment, as sent."""

    agent_id: str
    env_id: str
    num_of_areas: Number


class RecordingForm(TypedDict):
    """Which episodes are recorded."""

    every: NotRequired[Count]
    """Every n-th; 0: none."""
    max_mb: NotRequired[Count]
    """At most so many MB of the job."""


class RequiresForm(TypedDict):
    """What a node must have to train it."""

    trainer: NotRequired[str]
    """Where it is not ML-Agents."""
    gpu: NotRequired[bool]
    memory_mb: NotRequired[Number]
    labels: NotRequired[list[str]]


class ModelForm(TypedDict):
    """The newest model of a job, in short."""

    version: Number
    sha256: Sha256
    size: Count


class Difference(TypedDict):
    """A line that is not the same in two runs."""

    line: str
    then: Any
    now: Any
    step: NotRequired[Count]


class SameFile(TypedDict):
    """Whether two runs left the same file, and its SHA-256 then and now."""

    identical: bool
    then: Sha256 | None
    now: Sha256 | None


class SameMetrics(TypedDict):
    """Whether two runs left the same summaries."""

    identical: bool
    summaries: list[Count]
    """How many, then and now."""
    first_difference: Difference | None


class Comparison(TypedDict):
    """What a rerun has shown."""

    identical: bool | None
    """Null when the other run is gone."""
    summary: str
    """In a sentence."""
    metrics: NotRequired[SameMetrics]
    model: NotRequired[SameFile]
    checkpoint: NotRequired[SameFile]
    differences: NotRequired[list[Difference]]
    """Between the bundles; wall-clock times don't count."""


class TrainJob(TypedDict):
    """A job as games know it, and what is new beside it."""

    run_id: Id
    job_status: Annotated[str, one_of(dict.fromkeys(state.for_games for state in JobState))]
    """In the six words that games know."""
    job_type: Literal["CREATE", "RESUME"]
    """RESUME once it was asked to go on."""
    nn_model_config: NnModelForm
    agent_config: str
    """As sent."""
    env_config: EnvForm
    id: Id
    """The `run_id` again."""
    team: str
    """Whose members see it."""
    created_at: Moment
    created_by: User
    state: JobState
    """The exact state."""
    attempt: Number
    """Number of the current attempt."""
    env_version: str | None
    """The version of the environment that it trains in, chosen when it was submitted."""
    seed: Count
    recording: RecordingForm
    steps_trained: Count
    """What the last attempt that ended has reached."""
    mean_reward: float | None
    """Of that attempt."""
    error: str | None
    """Why it FAILED or was CANCELLED, in a sentence."""
    cancel_requested: bool
    last_seq: Count
    """Number of its newest event."""
    num_envs: Number
    checkpoint_interval: Number | None
    """Steps between two checkpoints, as asked for."""
    time_limit: Number | None
    """Seconds for which it may train."""
    hyperparameters: Json
    """As asked for."""
    initialize_from: Id | None
    """The run whose weights it began with."""
    rerun_of: Id | None
    """The run that it repeats."""
    comparison: Comparison | None
    """Of a rerun, once it has ended."""
    model: ModelForm | None
    requires: RequiresForm
    waiting_for: str | None
    """Why no node takes it at the moment, in a sentence."""
    priority: Number
    """1 to 10."""
    queue_position: Number | None
    """Where it stands among the jobs that ask for the same of a node, as turns are taken; null once a node has it."""
    expected_start: Moment | None
    """An estimate, where enough is known of jobs and nodes."""


class AttemptForm(TypedDict):
    """One start of a job on a node, and why it ended."""

    attempt: Number
    node: str
    start_step: Count
    """At which it went on."""
    claimed_at: Moment
    ended_at: Moment | None
    kind: str | None
    """Of its end; the document on the life of a job has the words."""
    cause: str | None
    """In a sentence."""


class TrainJobInFull(TrainJob):
    """TrainJob with all its attempts."""

    attempts: list[AttemptForm]
    log_tail: str | None
    """The end of the last attempt's log."""


class Ticket(TypedDict):
    """Opens one WebSocket of one run, once."""

    ticket: str
    expires_in: Count
    """Seconds."""
