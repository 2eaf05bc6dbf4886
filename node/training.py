"""One training from its order to its ending: starts the trainer, relays its facts, obeys a stop, leaves no process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from node.trainers.base import Ending, Machine, TrainingOrder

Fact = Mapping[str, Any]


class Stop(Protocol):
    """What is asked of the stop flag; a threading.Event will do."""

    def is_set(self) -> bool: ...


def train(
    order: TrainingOrder,
    workspace: Path,
    on_fact: Callable[[dict[str, Any]], None],
    stop: Stop,
    machine: Machine,
    *,
    trainer: str = "mlagents",
    grace_s: float = 30.0,
    on_checkpoint: Callable[[Path, int], None] | None = None,
    pidfiles: Path | None = None,
) -> Ending:
    """Train to the end, in a workspace of this attempt's own (created if missing).

    `on_fact` gets phases and metrics in this thread; `on_checkpoint` gets (checkpoint file, step) for each periodic
    checkpoint, complete and unchanging for at least four more of them. `stop` is looked at several times a second.
    `pidfiles` is the folder for `node.shim.kill_leftovers` (default: the workspace's parent). Never raises for a training that
    fails; whatever `on_fact` raises comes through, after all processes are gone.
    """
    raise NotImplementedError
