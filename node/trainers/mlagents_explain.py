"""From what ML-Agents said at its end to one sentence for a game developer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.trainers.base import Evidence, TrainingOrder, TrainingRefused
from node.trainers.explanations import Rules, explain_error, explain_exit

WHILE_TRAINING: Rules = (
    ("UnityTimeOutException", "", "The environment stopped answering in the middle of the training.", "", "stalled"),
)
RULES: Rules = (
    ("UnityTimeOutException", "",
     "The environment started but did not connect to the trainer in time.", "", "user"),
    ("UnityEnvironmentException", r"return code -9\b",
     "The environment was killed by the system, most likely for want of memory.", "", "memory"),
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
        connected = "connected" in facts
        return explain_error((*WHILE_TRAINING, *RULES) if connected else RULES, facts["error"], connected)
    if "finished" in facts or "interrupted" in facts:
        return None
    return explain_exit(evidence.exit_code)


def _missing_behaviour(order: TrainingOrder, connected: Mapping[str, Any] | None) -> TrainingRefused | None:
    if connected is None or order.behaviour in connected["behaviours"]:
        return None
    shown = ", ".join(connected["behaviours"])
    return TrainingRefused(f'The environment has no agent with the behaviour "{order.behaviour}" (it has: {shown}).')
