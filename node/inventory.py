"""What this node has to offer: asked of the machine and of the trainers' Python once, of the disk each time."""

from __future__ import annotations

import json
import logging
import subprocess
from dataclasses import replace
from typing import Any

from wire.jobs import Has
from wire.names import VERSION

from .capacity import free_disk_mb, memory_mb_per_slot, threads_per_slot
from .config import Config
from .trainers.base import TRAINERS, Machine, load_trainer
from .trainers.surroundings import trainer_environ

log = logging.getLogger(__name__)
ASK_SECONDS = 60
QUESTION = """
import importlib.metadata, json, platform, sys
packages, devices = json.loads(sys.argv[1])
versions = {}
for name in packages:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        versions[name] = None
gpus = []
if devices != ["cpu"]:
    import torch
    there = range(torch.cuda.device_count())
    gpus = [torch.cuda.get_device_name(int(d.partition(":")[2] or 0)) for d in devices
            if int(d.partition(":")[2] or 0) in there]
print(json.dumps({"python": platform.python_version(), "packages": versions, "gpus": gpus}))
"""


class CannotAsk(Exception):
    """The trainers' Python does not answer; the text says why."""


class Inventory:
    """What one node has."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lasting: Has | None = None

    def take(self) -> Has:
        """All of it, as it is now."""
        self._lasting = self._lasting or what_lasts(self._config)
        free = free_disk_mb(self._config)
        return replace(self._lasting, disk_free_mb=free, full=why_full(self._config, free))


def why_full(config: Config, free_mb: int) -> str | None:
    """Why no new training is taken, where the disk is the reason."""
    if free_mb >= config.node_min_free_mb:
        return None
    return f"Its disk has {free_mb} MB left; it takes new trainings from {config.node_min_free_mb} MB on."


def what_lasts(config: Config) -> Has:
    """All but the disk. A Python that does not answer is one without trainers."""
    try:
        found = ask(config)
    except CannotAsk as error:
        log.error("%s This node can train nothing.", error)
        found = {"packages": {}, "gpus": []}
    return Has(
        trainers=tuple(name for name in TRAINERS if has_all(name, found["packages"])), gpus=tuple(found["gpus"]),
        memory_mb=memory_mb_per_slot(config), threads=threads_per_slot(config), labels=tuple(config.labels),
        slots=config.node_slots, version=VERSION,
    )  # fmt: skip


def packages_of(trainer: str) -> tuple[str, ...]:
    """The packages without which that trainer is not there."""
    return tuple(getattr(load_trainer(trainer), "packages", ()))


def has_all(trainer: str, versions: dict[str, str | None]) -> bool:
    """Whether a Python with packages of these versions (None: missing) has the trainer."""
    return all(versions.get(package) for package in packages_of(trainer))


def ask(config: Config) -> dict[str, Any]:
    """What the trainers' Python says of itself: python, packages (name to version or None), gpus. Raises CannotAsk."""
    packages = sorted({package for trainer in TRAINERS for package in packages_of(trainer)})
    question = json.dumps([packages, config.devices])
    python = config.trainer_python
    try:
        answer = subprocess.run([python, "-c", QUESTION, question], capture_output=True, text=True, check=True,
                                timeout=ASK_SECONDS, env=trainer_environ(Machine(python, config.environ)))  # fmt: skip
        return dict(json.loads(answer.stdout.strip().rpartition("\n")[2]))
    except OSError as error:
        raise CannotAsk(f"TRAINER_PYTHON, {python}, cannot be started: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise CannotAsk(f"TRAINER_PYTHON, {python}, did not answer within {ASK_SECONDS} s.") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().rpartition("\n")[2]
        raise CannotAsk(f"TRAINER_PYTHON, {python}, cannot say what it has: {last}.") from error
    except ValueError as error:
        raise CannotAsk(f"TRAINER_PYTHON, {python}, is no Python: it answered something else.") from error
