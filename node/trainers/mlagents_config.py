"""The trainer configuration of one job: the behaviour's YAML with the job's own numbers laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.trainers.base import TrainingOrder, TrainingRefused

# what the command line says, or nobody may say from inside a build
DROPPED = ("checkpoint_settings", "env_settings", "torch_settings", "debug")
CHECKPOINTS = 10  # a training saves about that many, unless the default interval comes more often
DEFAULT_CHECKPOINT_INTERVAL = 500_000
SUMMARIES = 20  # a training shows at least about that many, however short it is
DEFAULT_SUMMARY_INTERVAL = 50_000


def job_yaml(order: TrainingOrder, content: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that this job trains with. Raises TrainingRefused when the behaviour is not in it."""
    behaviours = content.get("behaviors")
    if not isinstance(behaviours, dict):
        raise TrainingRefused("The environment's configuration does not contain `behaviors:`.")
    if order.behaviour not in behaviours:
        known = ", ".join(map(str, behaviours)) or "none"
        raise TrainingRefused(f'The configuration has no behaviour "{order.behaviour}" (it has: {known}).')
    kept = {key: value for key, value in content.items() if key not in DROPPED}
    return {**kept, "behaviors": {name: _overlay(order, entry) for name, entry in behaviours.items()}}


def _overlay(order: TrainingOrder, behaviour: Any) -> dict[str, Any]:
    """All behaviours get the same end: ML-Agents goes on until the last one has reached its own."""
    if not isinstance(behaviour, dict):
        raise TrainingRefused("Each entry of `behaviors:` in the environment's configuration must be a mapping.")
    summary = behaviour.get("summary_freq", DEFAULT_SUMMARY_INTERVAL)
    shortest = max(1, order.max_steps // SUMMARIES)
    return {
        **behaviour,
        "max_steps": order.max_steps,
        "checkpoint_interval": max(1, min(DEFAULT_CHECKPOINT_INTERVAL, order.max_steps // CHECKPOINTS)),
        "keep_checkpoints": 5,
        "summary_freq": min(summary, shortest) if isinstance(summary, int) else summary,
        "threaded": False,  # threads would make the result depend on timing
    }
