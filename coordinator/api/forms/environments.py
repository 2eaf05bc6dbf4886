"""How environments and the versions of their builds look."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from . import Count, Id, Json, Link, Moment, Number, Sha256


class BuildForm(TypedDict):
    """One version of an environment of the store."""

    id: Id
    env_id: str
    version: str
    state: str
    """UPLOADING, VERIFYING, READY, REJECTED or RETIRED."""
    error: str | None
    """Why it is REJECTED, in a sentence."""


class PartLink(TypedDict):
    """Where a part of the archive is to be PUT."""

    number: Number
    url: Link


class UploadForm(BuildForm):
    """A version that is being uploaded."""

    part_size: Number
    """Bytes of each part but the last."""
    parts: list[PartLink]


class CheckForm(TypedDict):
    """What a node has found when it first ran a build."""

    node: str
    error: str | None
    """Null when it passed."""
    seconds: float
    found: Json
    """The behaviours as they are."""
    checked_at: Moment


class BuildInFull(BuildForm):
    """The same with all that is known of it, the manifest's fields too."""

    size: Count
    sha256: Sha256
    unpacked_size: Count | None
    files: Count | None
    created_at: Moment
    ready_at: Moment | None
    retired_at: Moment | None
    kind: str | None
    executable: str | None
    areas: Json | None
    num_envs: Json | None
    behaviours: Json
    """With their configurations."""
    checks: list[CheckForm]


class InstalledBuild(TypedDict):
    """A version that came with the installation."""

    version: str | None
    state: Literal["READY"]
    error: None
    behaviours: Json


class EnvironmentForm(TypedDict):
    """What jobs can be trained in."""

    env_id: str
    version: str | None
    """The newest that is READY, which jobs get that name none."""
    name: str | None
    kind: str
    """unity or gymnasium."""
    description: str | None
    behaviours: list[str]
    areas: Json | None
    """`min` and `max`: what a job may ask for."""
    source: NotRequired[Literal["store", "installation"]]
    versions: NotRequired[list[Any]]


class ListedEnvironment(EnvironmentForm):
    """An environment with its versions in short."""

    versions: NotRequired[list[BuildForm | InstalledBuild]]


class EnvironmentInFull(EnvironmentForm):
    """An environment with all that is known of its versions."""

    versions: NotRequired[list[BuildInFull | InstalledBuild]]
