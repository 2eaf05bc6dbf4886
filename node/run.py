"""One attempt from its claim to its outcome: fetch the checkpoint, train, upload, and say how it ended."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from wire.codec import NotAMessage, decode
from wire.facts import MAX_ERROR_CHARACTERS, MAX_LOG_CHARACTERS, Artifact, Outcome
from wire.jobs import JobSpec

from . import ports
from .central import Away, Central, Refused, download, sha256_of
from .config import Config
from .lease import Stop
from .trainers.base import Ending, EnvironmentBuild, Machine, TrainingOrder, TrainingRefused
from .training import train

log = logging.getLogger(__name__)
UPLOADED = ("model", "checkpoint")
LONGEST_PAUSE_SECONDS = 10.0


def run_attempt(
    config: Config, central: Central, spec: JobSpec, folder: Path, stop: Stop, say: Callable[[dict[str, Any]], None]
) -> Outcome:
    """Trains and uploads. Never raises for a training that fails: the outcome says so. `facts_sent` is left at 0."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _stopped_by_sigterm(stop):
            ending = _train(config, spec, folder, stop, say)
            return _hand_over(central, spec, ending, stop)
    except TrainingRefused as refused:
        return _failed(spec, str(refused))
    except (Away, Refused) as error:
        return replace(_failed(spec, f"The node could not go on: {error}"), status="interrupted")
    except Exception as error:
        log.exception("Attempt %s of run %s failed on this node.", spec.attempt, spec.run_id)
        return _failed(spec, f"The training node failed: {type(error).__name__}: {error}")


def _train(config: Config, spec: JobSpec, folder: Path, stop: Stop, say: Callable[[dict[str, Any]], None]) -> Ending:
    build = _environment(Path(config.environments_dir), spec.env_id)
    resume_from = _checkpoint(spec, folder, stop)
    machine = Machine(config.trainer_python, config.environ, config.trainer_threads, config.connect_seconds)
    with ports.hold_base_port() as base_port:
        order = TrainingOrder(
            run_id=spec.run_id, attempt=spec.attempt, behaviour=spec.behaviour, environment=build,
            max_steps=spec.max_steps, num_of_areas=spec.num_of_areas, seed=spec.seed, base_port=base_port,
            device=config.trainer_device, resume_from=resume_from,
        )  # fmt: skip
        return train(order, folder, say, stop, machine, grace_s=config.grace_seconds, pidfiles=config.attempts_dir)


def _environment(folder: Path, env_id: str) -> EnvironmentBuild:
    build = folder.resolve() / env_id
    if build.parent != folder.resolve() or not (build / "manifest.json").is_file():
        raise TrainingRefused(f"This training node has no environment {env_id!r}.", "node")
    try:
        return EnvironmentBuild(build, decode((build / "manifest.json").read_bytes()))
    except NotAMessage as error:
        raise TrainingRefused(f"The manifest of environment {env_id!r} can't be read. {error}") from error


def _checkpoint(spec: JobSpec, folder: Path, stop: Stop) -> Path | None:
    if not spec.checkpoint_url or not spec.checkpoint_sha256:
        return None
    link, sha256, path = spec.checkpoint_url, spec.checkpoint_sha256, folder / "resume.pt"
    _insist(lambda: download(link, sha256, path), stop)
    return path


def _hand_over(central: Central, spec: JobSpec, ending: Ending, stop: Stop) -> Outcome:
    artifacts = []
    for found in ending.artifacts:
        if found.kind not in UPLOADED or stop.reason == Stop.FENCED:
            continue
        path, kind = found.path, found.kind
        artifact = Artifact(kind, sha256_of(path), path.stat().st_size, dict(found.manifest),
                            step=found.manifest.get("step"))  # fmt: skip
        name = artifact.name
        _insist(lambda n=name, p=path: central.upload(spec.run_id, spec.attempt, n, p), stop)  # type: ignore[misc]
        artifacts.append(artifact)
    status = "interrupted" if ending.status == "stopped" and stop.reason != Stop.CANCELLED else ending.status
    error = ending.error or ("The training node was shut down." if status == "interrupted" else None)
    return replace(
        _failed(spec, error), status=status, steps=ending.step, mean_reward=ending.mean_reward,
        log_tail=ending.log_tail[-MAX_LOG_CHARACTERS:], artifacts=tuple(artifacts),
    )  # fmt: skip


def _insist(work: Callable[[], None], stop: Stop) -> None:
    """Repeats `work` while the other side is away: a finished training is worth any wait, unless the node shuts down.

    Raises Refused when the coordinator says no, and Away when there is no time left to wait.
    """
    pause = 0.5
    while True:
        try:
            return work()
        except Away as error:
            if stop.reason in (Stop.SHUTDOWN, Stop.FENCED):
                raise
            log.warning("%s; trying again in %.0f s.", error, pause)
            threading.Event().wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _failed(spec: JobSpec, error: str | None) -> Outcome:
    return Outcome(UUID(spec.run_id), spec.attempt, "failed", 0, error[:MAX_ERROR_CHARACTERS] if error else None)


@contextmanager
def _stopped_by_sigterm(stop: Stop) -> Iterator[None]:
    """SIGTERM to the pool's process asks the trainer to save, instead of ending this process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.ask(Stop.SHUTDOWN))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
