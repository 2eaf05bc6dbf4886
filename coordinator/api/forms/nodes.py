"""How training nodes look, and what they are answered."""

from typing import Literal

from typing_extensions import TypedDict

from . import Count, Id, Json, Link, Moment, Number, Sha256


class NodeForm(TypedDict):
    """A training node as people see it."""

    name: str
    slots: Count | None
    """Trainings at the same time."""
    has: Json | None
    """What it offers."""
    last_seen_at: Moment | None
    drain: str | None
    """How it ends, where it was told to: finish or hand-over."""
    quarantine: str | None
    """That it gets no work until it has passed its self-check, in a sentence; for operators, why."""
    revoked_at: Moment | None
    """Since when it is no node any more."""


class RevokedNode(NodeForm):
    """A training node that is none any more."""

    left_to_do: list[str]
    """Sentences, and commands for RabbitMQ's machine where the coordinator may not make users there."""


class Greeting(TypedDict):
    """To a node that says that it is there."""

    lease_seconds: float
    queues: list[str]
    """From which it is to take trainings."""
    drain: Literal["finish", "hand-over"] | None
    """How it is to end, where somebody has asked for that."""
    check: bool
    """Whether it is to check itself, and gets no work until it has passed."""


class CheckLinks(TypedDict):
    """By what the owner of a machine tries everything."""

    time: Moment
    version: str
    put: Link
    get: Link


class BuildToFetch(TypedDict):
    """What a node needs to fetch a build, and to know that it has it."""

    id: Id
    url: Link
    sha256: Sha256
    size: Count
    unpacked_size: Count | None


class Spec(TypedDict, total=False):
    """All that a node needs for one attempt."""

    run_id: Id
    attempt: Number
    env_id: str
    behaviour: str
    max_steps: Number
    """Absolute: steps trained before plus steps asked for."""
    num_of_areas: Number
    seed: Count
    agent_config: str
    agent_id: str
    steps: Number
    """As the game asked for."""
    job_type: Literal["CREATE", "RESUME"]
    trainer: str
    env_version: str | None
    build: BuildToFetch | None
    """Null: one of the node's own."""
    manifest: Json | None
    """Of that build, each behaviour with its `configuration`."""
    needs_check: bool
    """The node has not run this build before: it is to check it first."""
    num_envs: Number
    checkpoint_interval: Number | None
    hyperparameters: Json
    """Laid over the behaviour's configuration."""
    checkpoint_url: Link | None
    """Of the checkpoint to go on from."""
    checkpoint_sha256: Sha256 | None
    start_step: Count
    """Of that checkpoint."""
    initialize_url: Link | None
    """Of the checkpoint whose weights are the first ones."""
    initialize_sha256: Sha256 | None
    threads: Number | None
    memory_mb: Number | None
    """What all processes of the training may use together."""
    time_left_s: float | None
    """Of the job's time limit, for this attempt."""
    time_limit: Number | None
    recording: Json
    """`every` and `max_mb`, what is left of the job's."""


class Claimed(TypedDict):
    """The attempt is the node's."""

    spec: Spec
    lease_seconds: float
    """For which it is, until it is renewed."""


class HeartbeatAnswer(TypedDict):
    """Whether to go on."""

    answer: Literal["go on", "cancel", "not yours"]


class LinkForm(TypedDict):
    """Where something is to be fetched from, or to be PUT."""

    url: Link


class HandedIn(TypedDict):
    """What is to become of the files of an attempt that was handed in."""

    answer: Literal["wait", "resend", "stored", "keep", "unknown"]
    names: list[str]
    """Which are to be sent again."""
