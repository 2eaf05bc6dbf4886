"""Why a trainer failed, in one sentence for a game developer, as far as it is the same for every trainer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from node.trainers.base import Cause, TrainingRefused

SIGKILL_CODE = 128 + 9

# Type of the error (or ""), pattern in its message, sentence before the environment was connected, another for after
# that (or ""), whose fault. {1} in a sentence is the pattern's first group.
Rules: TypeAlias = tuple[tuple[str, str, str, str, Cause], ...]
GENERAL: Rules = (
    ("ValueError", r"the checkpoint does not fit (.*)",
     "The checkpoint to begin with does not fit {1}.", "", "user"),
    ("UnpicklingError", r"unsupported GLOBAL|not an allowed global|[Uu]nsupported (?:class|global)",
     "The checkpoint to begin with holds more than weights, so it was not loaded.", "", "user"),
    ("UnpicklingError", "", "The checkpoint to begin with is damaged.", "", "node"),
    ("", r"PytorchStreamReader|invalid magic number|failed finding central directory",
     "The checkpoint to begin with is damaged.", "", "node"),
    ("", r"[Oo]ut of memory|OutOfMemory|MemoryError|can't allocate memory",
     "The training ran out of memory.", "", "memory"),
    ("", r"No space left on device|Disk quota exceeded", "The training node's disk is full.", "", "node"),
    ("", r"(?:Torch not compiled with|No CUDA GPUs|Invalid device|CUDA error)",
     "This training node cannot use the device it is set to.", "", "node"),
    ("ModuleNotFoundError", r"No module named '(.*)'", "This training node's Python has no {1} installed.", "", "node"),
)  # fmt: skip


def explain_error(rules: Rules, error: Mapping[str, Any], connected: bool) -> TrainingRefused:
    """An error that the trainer told ({type, message}), in a sentence: by its own rules, then those of all."""
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    for wanted, pattern, before, after, cause in (*rules, *GENERAL):
        found = re.search(pattern, f"{kind}: {message}" if not wanted else message, re.DOTALL)
        if found and wanted in ("", kind):
            words = [one_line(group or "") for group in found.groups()]
            return TrainingRefused((after if connected and after else before).format("", *words), cause)
    return TrainingRefused(f"The trainer stopped with an error: {kind}: {one_line(message)}", "node")


def explain_exit(code: int) -> TrainingRefused:
    """It said nothing at all before it ended."""
    if code == SIGKILL_CODE:
        return TrainingRefused("The trainer was killed by the system, most likely for want of memory.", "memory")
    if code > 128:
        return TrainingRefused(f"The trainer crashed (signal {code - 128}).", "node")
    return TrainingRefused(f"The trainer ended without a word (exit code {code}).", "node")


def one_line(text: str) -> str:
    """At most 300 characters of it."""
    return " ".join(text.split())[:300]
