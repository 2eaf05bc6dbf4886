"""One attempt from its claim to its outcome: fetch build and checkpoint, train, upload, and say how it ended."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from wire.facts import Outcome
from wire.jobs import JobSpec

from . import builds, ends, logs, ports, slots, uploads
from .bridge.attempts import announce
from .capacity import MB, memory_mb_per_slot, threads_per_slot
from .central import Away, Central, Refused
from .config import Config
from .fetch import Stopped, fetch_checkpoint
from .guards import Limits
from .hand_over import hand_over, last_checkpoint
from .lease import Stop
from .parcel import Parcel
from .patience import Patience
from .trainers.base import Cause, Ending, EnvironmentBuild, Machine, TrainingOrder, TrainingRefused
from .training import train

log = logging.getLogger(__name__)
Say = Callable[[dict[str, Any]], None]
"""Reports a fact."""


def run_attempt(
    config: Config, central: Central, spec: JobSpec, folder: Path, stop: Stop, say: Say, tell: uploads.Tell
) -> Outcome:
    """Trains and uploads. Never raises for a training that fails: the outcome says so. `facts_sent` is left at 0."""
    folder.mkdir(parents=True, exist_ok=True)
    patience = Patience(stop, config.upload_patience_seconds)
    parcel = Parcel(folder.parent)
    background = uploads.Uploads(central, spec.run_id, spec.attempt, folder.parent, tell)
    try:
        with (
            _limited_to(spec.time_left_s, stop),
            builds.provide(config, spec, central, folder, stop) as build,
        ):
            ending = _train(config, spec, build, folder, stop, say, background)
            patience.renew()
            achieved = _pack(parcel, spec, ending, stop)
            background.finish(stop, last_checkpoint(achieved), patience)
            return hand_over(central, parcel, achieved, stop, patience, config.node_name)
    except Stopped:
        return ends.ended(spec, Ending("stopped"), stop, ())
    except TrainingRefused as refused:
        return ends.refused(spec, refused)
    except (Away, Refused) as error:
        cause: Cause = "drained" if stop.reason == Stop.SHUTDOWN else "node"
        return ends.failed(spec, cause, f"The node could not go on: {error}")
    except Exception as error:
        log.exception("Attempt %s of run %s failed on this node.", spec.attempt, spec.run_id)
        return ends.broken(spec, error)
    finally:
        background.close()


def _train(
    config: Config, spec: JobSpec, build: EnvironmentBuild, folder: Path, stop: Stop, say: Say,
    background: uploads.Uploads,
) -> Ending:  # fmt: skip
    resume_from = _fetch(spec.checkpoint_url, spec.checkpoint_sha256, folder / "resume.pt", stop)
    initialize_from = _fetch(spec.initialize_url, spec.initialize_sha256, folder / "initialize.pt", stop)
    mark = uuid4().hex
    announce(folder.parent, spec, mark, config.coordinator_url)
    threads = spec.threads or threads_per_slot(config)
    machine = Machine(config.trainer_python, config.environ, threads, config.connect_seconds)
    limits = _limits(config, spec)
    with slots.hold_slot(config.slots_dir) as slot, ports.hold_base_port(spec.num_envs) as base_port:
        order = TrainingOrder(
            run_id=spec.run_id, attempt=spec.attempt, behaviour=spec.behaviour, environment=build,
            max_steps=spec.max_steps, num_of_areas=spec.num_of_areas, seed=spec.seed, base_port=base_port,
            device=slots.device_of(slot, config.devices), resume_from=resume_from, initialize_from=initialize_from,
            num_envs=spec.num_envs, checkpoint_interval=spec.checkpoint_interval, hyperparameters=spec.hyperparameters,
            steps=spec.steps,
        )  # fmt: skip
        with logs.followed(folder, say, config.log_max_kb):
            return train(order, folder, say, stop, machine, trainer=spec.trainer, grace_s=config.grace_seconds,
                         on_checkpoint=background.checkpoint, pidfiles=config.attempts_dir, mark=mark,
                         limits=limits, abandon=stop.fenced)  # fmt: skip


def _limits(config: Config, spec: JobSpec) -> Limits:
    """The job's memory is what it asked for, where the node has more."""
    allowed = memory_mb_per_slot(config)
    return Limits(min(spec.memory_mb or allowed, allowed) * MB, config.log_limit_mb * MB, config.stall_seconds,
                  config.idle_seconds)  # fmt: skip


def _fetch(link: str | None, sha256: str | None, path: Path, stop: Stop) -> Path | None:
    if not link or not sha256:
        return None
    fetch_checkpoint(link, sha256, path, stop)
    return path


def _pack(parcel: Parcel, spec: JobSpec, ending: Ending, stop: Stop) -> Outcome:
    outcome = ends.ended(spec, ending, stop, ())
    return outcome if stop.reason == Stop.FENCED else parcel.pack(outcome, ending.artifacts)


@contextmanager
def _limited_to(seconds: float | None, stop: Stop) -> Iterator[None]:
    """What is left of the job's time. It ends the training; what has been trained is handed in all the same."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(max(0.0, seconds), stop.ask, [Stop.TIME_LIMIT])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
