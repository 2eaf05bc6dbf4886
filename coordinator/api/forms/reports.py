"""What nodes and their builds say, as the document of messages has it; `wire.facts` is what really reads it."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from wire.facts import LOG_SOURCES, MAX_LOG_PIECE_CHARACTERS, MAX_STATISTICS, PHASES

from . import Count, Id, Number, one_of


class PhaseFact(TypedDict):
    """The trainer has got so far."""

    n: Number
    """1, 2, 3, ... within the attempt: a repeat is recognised, and a gap is seen."""
    kind: Literal["phase"]
    phase: Annotated[str, one_of(PHASES)]


class MetricsFact(TypedDict):
    """A summary of the training."""

    n: Number
    kind: Literal["metrics"]
    behaviour: Annotated[str, Field(min_length=1, max_length=200)]
    step: Count
    time_elapsed: float
    """Seconds."""
    mean_reward: NotRequired[float | None]
    """Null when no episode has ended since the last summary."""
    std_reward: NotRequired[float | None]
    statistics: NotRequired[Annotated[dict[str, dict[str, float]], Field(max_length=MAX_STATISTICS)]]


class LogFact(TypedDict):
    """Whole lines of one log, as many as came together."""

    n: Number
    kind: Literal["log"]
    source: Annotated[str, one_of(LOG_SOURCES)]
    text: Annotated[str, Field(max_length=MAX_LOG_PIECE_CHARACTERS)]


Fact = Annotated[PhaseFact | MetricsFact | LogFact, Field(discriminator="kind")]


class Facts(TypedDict):
    """A batch of facts of one attempt: a Celery event, whose other fields are Celery's."""

    type: Literal["training-facts"]
    run_id: Id
    attempt: Number
    facts: Annotated[list[Fact], Field(min_length=1)]


class Rejection(TypedDict):
    """A message that nobody can use: why, and how it begins."""

    reason: str
    body: str


class StateHeaders(TypedDict):
    """Whose state it is."""

    run_id: Id
    attempt: Number
    instance: Count
    """Which of the job's environments."""


class State(TypedDict):
    """What a build says of its world, byte for byte: ACTIONS (1) or ON_EPISODE_BEGIN (4), with fields of its own."""

    msg_id: Literal[1, 4, "1", "4"]
    episodeCount: NotRequired[Any]
    """Of ACTIONS: another whole number than before begins another episode."""


class BuildConfig(TypedDict):
    """The job as builds expect it."""

    centra_node_id: Id
    """The spelling is theirs."""
    central_node_url: str
    run_id: Id
    job_type: Literal["CREATE", "RESUME"]
    nn_model_config: dict[str, Any]
    agent_config: str
    env_config: dict[str, Any]


class TrainJobConfig(TypedDict):
    """TRAIN_JOB_CONFIG, from the node to a build that has connected."""

    msg_id: Literal["3"]
    """As text, as the oldest builds have it."""
    train_job: BuildConfig
