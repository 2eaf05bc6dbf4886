"""What a running training may not exceed: its memory, its logs. Whoever does is ended, alone, at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from node.memory import tree_bytes
from node.trainers.base import TrainingRefused

MB = 2**20


@dataclass(frozen=True)
class Limits:
    """Of one training. None: no limit."""

    memory_bytes: int | None = None  # of all its processes together
    log_bytes: int | None = None  # of all its logs together
    stall_s: float | None = None  # without a step, once it runs: see node.progress
    idle_s: float | None = None  # the same, while nothing computes either


@dataclass(frozen=True)
class Guards:
    """Looks at one training again and again."""

    limits: Limits
    workspace: Path
    pids: Callable[[], Iterable[int]]  # of all its processes

    def complain(self) -> TrainingRefused | None:
        """Why the training must end now."""
        return self._memory() or self._logs()

    def _memory(self) -> TrainingRefused | None:
        limit = self.limits.memory_bytes
        if limit is None or (used := tree_bytes(self.pids(), limit)) <= limit:
            return None
        return TrainingRefused(
            f"The training used more than its {limit // MB} MB of memory: it was at {-(-used // MB)} MB.", "memory"
        )

    def _logs(self) -> TrainingRefused | None:
        limit = self.limits.log_bytes
        if limit is None:
            return None
        sizes = {path: _size(path) for path in self.workspace.rglob("*.log")}
        if sum(sizes.values()) <= limit:
            return None
        of_the_trainer = sizes.pop(self.workspace / "trainer.log", 0)
        writer = "The trainer" if of_the_trainer > sum(sizes.values()) else "The environment"
        return TrainingRefused(f"{writer} wrote more than {limit // MB} MB into its log.")


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
