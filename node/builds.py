"""The environment build that an attempt trains in, as a folder on this machine: fetched and tried on its first use."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wire.codec import NotAMessage, decode
from wire.jobs import JobSpec

from .build_cache import MEGABYTE, BuildCache
from .build_check import Note, check_once
from .central import Central
from .config import Config
from .fetch import Source, StopFlag
from .trainers.base import EnvironmentBuild, TrainingRefused
from .tree import tree_sha256

MANIFEST = "manifest.json"


def cache_of(config: Config) -> BuildCache:
    """Where this node keeps builds of the environment store."""
    return BuildCache(config.builds_dir, config.node_builds_max_mb * MEGABYTE)


@contextmanager
def provide(
    config: Config, spec: JobSpec, central: Central, folder: Path, stop: StopFlag
) -> Iterator[EnvironmentBuild]:
    """The build that the job names, which stays until the block ends; `folder` is the attempt's.

    Raises TrainingRefused; Stopped; or Away and Refused, when another attempt may have it.
    """
    if spec.build is None:
        yield _of_this_machine(Path(config.environments_dir), spec.env_id.partition("@")[0])
        return
    cache, build_id = cache_of(config), str(spec.build["id"])
    source = Source(str(spec.build["sha256"]), int(spec.build["size"]), str(spec.build["url"]),
                    lambda: central.build_link(build_id), int(spec.build.get("unpacked_size") or 0))  # fmt: skip
    with cache.hold(source, stop) as cached:
        build = _of_the_store(cached, spec, source.sha256)
        if spec.needs_check:
            asked_at = time.time()
            with cache.lock(source.sha256, "check", stop):
                check_once(config, spec, central, build, Note(cache.note_of(source.sha256), asked_at), folder, stop)
        yield build


def environment_hash(build: EnvironmentBuild) -> str:
    """SHA-256 of the archive that the build came in, or of its folder where it is one of this machine's own."""
    return build.sha256 or tree_sha256(build.folder)


def _of_the_store(folder: Path, spec: JobSpec, sha256: str) -> EnvironmentBuild:
    root = root_of(folder)
    return EnvironmentBuild(root, spec.manifest or _manifest(root, spec.env_id), sha256)


def root_of(folder: Path) -> Path:
    """Where paths of the manifest begin: archives often hold one folder with everything in it."""
    content = list(folder.iterdir())
    is_wrapped = len(content) == 1 and content[0].is_dir() and not content[0].is_symlink()
    return content[0] if is_wrapped else folder


def _of_this_machine(folder: Path, env_id: str) -> EnvironmentBuild:
    build = folder.resolve() / env_id
    if build.parent != folder.resolve() or not (build / MANIFEST).is_file():
        raise TrainingRefused(f"This training node has no environment {env_id!r}.", "node")
    return EnvironmentBuild(build, _manifest(build, env_id))


def _manifest(folder: Path, env_id: str) -> dict[str, object]:
    try:
        return decode((folder / MANIFEST).read_bytes())
    except (NotAMessage, OSError) as error:
        raise TrainingRefused(f"The manifest of environment {env_id!r} can't be read. {error}") from error
