"""From what ML-Agents said at its end to one sentence for a game developer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from node.trainers.base import Cause, Evidence, TrainingOrder, TrainingRefused

SIGKILL_CODE = 128 + 9

# Type of the error (or ""), pattern in its message, sentence before the environment was connected, another for after
# that (or ""), whose fault. {1} in a sentence is the pattern's first group.
RULES: tuple[tuple[str, str, str, str, Cause], ...] = (
    ("UnityTimeOutException", "",
     "The environment started but did not connect to the trainer in time.",
     "The environment stopped answering in the middle of the training.", "user"),
    ("UnityEnvironmentException", r"return code (-?\d+)",
     "The environment ended (exit code {1}) before it had connected to the trainer.",
     "The environment ended (exit code {1}) in the middle of the training.", "user"),
    ("UnityEnvironmentException", r"API version is not compatible.*Unity API: ([\d.]+)",
     "The environment speaks version {1} of ML-Agents' protocol, which this trainer does not understand.",
     "", "user"),
    ("UnityEnvironmentException", "Couldn't launch", "The environment's executable cannot be found.", "", "user"),
    ("UnityEnvironmentException", "permissions", "The environment's executable is not executable.", "", "user"),
    ("OSError", "Exec format", "The environment's executable is not a program that this machine can run.", "", "user"),
    ("FileNotFoundError", r"No such file or directory: '(.*)'",
     "The environment could not be started: {1} is not there.", "The trainer misses a file: {1}.", "user"),
    ("UnityCommunicationException", "",
     "The environment lost its connection to the trainer before the first step.",
     "The environment lost its connection to the trainer.", "user"),
    ("UnityWorkerInUseException", "", "The trainer's port was taken by another program.", "", "node"),
    ("", r"[Tt]he (rewards|group_rewards|observations) provided had (NaN|Infinite)",
     "The environment sent {1} that are not finite numbers ({2}).", "", "user"),
    ("TrainerConfigError", r"[Tt]he option (\S+) was specified in your YAML file",
     'The environment\'s configuration has an option "{1}" that ML-Agents does not know.', "", "user"),
    ("TrainerConfigError", r"behavior name (.+?) has not been specified",
     'The environment shows a behaviour "{1}" that its configuration does not have.', "", "user"),
    ("TrainerConfigError", r"(.+)", "The environment's configuration is not valid: {1}", "", "user"),
    ("ValueError", r"(the checkpoint does not fit .*)", "The training could not be resumed: {1}.", "", "user"),
    ("UnpicklingError", "", "The checkpoint to resume from is damaged.", "", "node"),
    ("", r"PytorchStreamReader|invalid magic number|failed finding central directory",
     "The checkpoint to resume from is damaged.", "", "node"),
    ("", r"[Oo]ut of memory|OutOfMemory|MemoryError|can't allocate memory",
     "The training ran out of memory.", "", "node"),
    ("", r"(?:Torch not compiled with|No CUDA GPUs|Invalid device|CUDA error)",
     "This training node cannot use the device it is set to.", "", "node"),
    ("ModuleNotFoundError", r"No module named '(.*)'", "This training node's Python has no {1} installed.", "", "node"),
)  # fmt: skip


def explain(order: TrainingOrder, evidence: Evidence) -> TrainingRefused | None:
    """Why it failed, or None when the trainer itself found nothing wrong."""
    facts = {str(fact["kind"]): fact for fact in evidence.facts}
    if "broken" in facts:
        return TrainingRefused(f"The environment's reward is not a finite number (at step {facts['broken']['step']}).")
    missing = _missing_behaviour(order, facts.get("connected"))
    if missing:
        return missing
    if "error" in facts:
        return _explain_error(facts["error"], connected="connected" in facts)
    if "finished" in facts or "interrupted" in facts:
        return None
    return _explain_exit(evidence.exit_code)


def _missing_behaviour(order: TrainingOrder, connected: Mapping[str, Any] | None) -> TrainingRefused | None:
    if connected is None or order.behaviour in connected["behaviours"]:
        return None
    shown = ", ".join(connected["behaviours"])
    return TrainingRefused(f'The environment has no agent with the behaviour "{order.behaviour}" (it has: {shown}).')


def _explain_error(error: Mapping[str, Any], connected: bool) -> TrainingRefused:
    kind, message = str(error.get("type", "")), str(error.get("message", ""))
    for wanted, pattern, before, after, cause in RULES:
        found = re.search(pattern, f"{kind}: {message}" if not wanted else message, re.DOTALL)
        if found and wanted in ("", kind):
            words = [_one_line(group or "") for group in found.groups()]
            return TrainingRefused((after if connected and after else before).format("", *words), cause)
    return TrainingRefused(f"The trainer stopped with an error: {kind}: {_one_line(message)}", "node")


def _explain_exit(code: int) -> TrainingRefused:
    """It said nothing at all before it ended."""
    if code == SIGKILL_CODE:
        return TrainingRefused("The trainer was killed by the system, most likely for want of memory.", "node")
    if code > 128:
        return TrainingRefused(f"The trainer crashed (signal {code - 128}).", "node")
    return TrainingRefused(f"The trainer ended without a word (exit code {code}).", "node")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
