"""Checkpoints of a trainer that keeps its own: written at once or not at all, read without running what is in them.

Runs in the trainer's Python.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from node.trainers.base import TrainingRefused
from node.trainers.facts import Facts

KEPT = 6


class Checkpoints:
    """The last few of a behaviour, each with the model of its step."""

    def __init__(self, facts: Facts, behaviour: str, folder: Path) -> None:
        self.facts, self.behaviour, self.folder = facts, behaviour, folder
        self.files: deque[Path] = deque()

    def keep(self, step: int, state: Mapping[str, Any], export: Callable[[Path], None]) -> None:
        """Writes both files, then announces them. `state` holds tensors, numbers, strings, lists and dicts only."""
        checkpoint = self.folder / f"{self.behaviour}-{step}.pt"
        model = self.folder / f"{self.behaviour}-{step}.onnx"
        draft = self.folder / f"{checkpoint.name}.part"
        export(model)
        torch.save({**state, "step": step}, draft)
        draft.replace(checkpoint)
        self.facts.tell("checkpoint", behaviour=self.behaviour, step=step, path=str(checkpoint), model=str(model))
        self.files.extend((checkpoint, model))
        while len(self.files) > 2 * KEPT:
            self.files.popleft().unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content, with its `step`. Raises TrainingRefused."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingRefused("The checkpoint to begin with is damaged, or is none.", "node") from error
    step = state.get("step") if isinstance(state, dict) else None
    if not isinstance(step, int) or isinstance(step, bool) or step < 0:
        raise TrainingRefused("The checkpoint to begin with is not one of this trainer.")
    return dict(state)
