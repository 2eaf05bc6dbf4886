"""The environment build that an attempt trains in, as a folder on this machine."""

from pathlib import Path

from wire.codec import NotAMessage, decode
from wire.jobs import JobSpec

from .config import Config
from .trainers.base import EnvironmentBuild, TrainingRefused


def provide(config: Config, spec: JobSpec) -> EnvironmentBuild:
    """The build that the job names. Raises TrainingRefused."""
    return _of_this_machine(Path(config.environments_dir), spec.env_id.partition("@")[0])


def _of_this_machine(folder: Path, env_id: str) -> EnvironmentBuild:
    build = folder.resolve() / env_id
    if build.parent != folder.resolve() or not (build / "manifest.json").is_file():
        raise TrainingRefused(f"This training node has no environment {env_id!r}.", "node")
    try:
        return EnvironmentBuild(build, decode((build / "manifest.json").read_bytes()))
    except NotAMessage as error:
        raise TrainingRefused(f"The manifest of environment {env_id!r} can't be read. {error}") from error
