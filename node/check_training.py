"""Checks that trainings can run here: the environments of this machine, and a short training in the reference one."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from wire.codec import NotAMessage, decode
from wire.names import DEFAULT_TRAINER

from . import inventory, ports, slots
from .capacity import MB, memory_mb_per_slot, threads_per_slot
from .check import FAILED, NOTE, PASSED, Finding
from .config import Config
from .guards import Limits
from .trainers.base import Ending, EnvironmentBuild, Machine, TrainingOrder
from .training import train

REFERENCE, BEHAVIOUR, STEPS = "reach1d", "Reach1D", 2_000
MOST_SECONDS = 40.0


def environments(config: Config) -> Iterator[Finding]:
    """The environment builds of this machine."""
    folder = Path(config.environments_dir)
    names = []
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            decode(path.read_bytes())
            names.append(path.parent.name)
        except (OSError, NotAMessage) as error:
            yield Finding(FAILED, f"{path} cannot be read: {error}")
    if names:
        yield Finding(PASSED, f"Environments in {folder}: {', '.join(names)}.")
    else:
        yield Finding(NOTE, f"There is no environment in {folder} (ENVIRONMENTS_DIR).",
                      "Jobs in uploaded ones can be trained all the same.")  # fmt: skip


def training(config: Config) -> Iterator[Finding]:
    """A short training in the reference environment."""
    folder = Path(config.environments_dir).resolve() / REFERENCE
    if not (folder / "manifest.json").is_file():
        yield Finding(NOTE, f"No training was tried: the reference environment {REFERENCE} is not there.")
        return
    if not _has_trainer(config):
        yield Finding(NOTE, "No training was tried: its trainer is missing.")
        return
    began = time.monotonic()
    ending = _train(config, EnvironmentBuild(folder, decode((folder / "manifest.json").read_bytes())))
    took = f"{time.monotonic() - began:.0f} s"
    if ending.status == "succeeded":
        yield Finding(PASSED, f"A training of {STEPS} steps in {REFERENCE} gave a model that can be used, in {took}.")
    elif ending.status == "stopped":
        yield Finding(FAILED, f"A training of {STEPS} steps had not ended after {took}.", "Is the machine busy?")
    else:
        last = ending.log_tail.strip().rpartition("\n")[2]
        yield Finding(FAILED, f"A training failed: {ending.error}", f"Its log ends with: {last}" if last else "")


def _has_trainer(config: Config) -> bool:
    try:
        return inventory.has_all(DEFAULT_TRAINER, inventory.ask(config)["packages"])
    except inventory.CannotAsk:
        return False


def _train(config: Config, build: EnvironmentBuild) -> Ending:
    config.slots_dir.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    timer = threading.Timer(MOST_SECONDS, stop.set)
    timer.daemon = True
    timer.start()
    try:
        with tempfile.TemporaryDirectory(prefix="check-", dir=config.slots_dir.parent) as workspace, \
             ports.hold_base_port() as port:  # fmt: skip
            return train(_order(config, build, port), Path(workspace) / "training", lambda fact: None, stop,
                         Machine(config.trainer_python, config.environ, threads_per_slot(config)), grace_s=5.0,
                         limits=Limits(memory_mb_per_slot(config) * MB))  # fmt: skip
    finally:
        timer.cancel()


def _order(config: Config, build: EnvironmentBuild, port: int) -> TrainingOrder:
    return TrainingOrder("check", 1, BEHAVIOUR, build, max_steps=STEPS, num_of_areas=8, seed=1, base_port=port,
                         device=slots.device_of(0, config.devices))  # fmt: skip
