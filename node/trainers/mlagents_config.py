"""The trainer configuration of one job: the behaviour's YAML, the job's hyperparameters over it, then its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.trainers.base import TrainingOrder, TrainingRefused
from wire.schemas import schema_of

# what the command line says, or nobody may say from inside a build
DROPPED = ("checkpoint_settings", "env_settings", "torch_settings", "debug", "default_settings")
CHECKPOINTS = 10  # a training saves about that many, unless the default interval comes more often
DEFAULT_CHECKPOINT_INTERVAL = 500_000
KEPT_CHECKPOINTS = 5
SUMMARIES = 20  # a training shows at least about that many, however short it is
DEFAULT_SUMMARY_INTERVAL = 50_000

Entry = dict[str, Any]


def job_yaml(order: TrainingOrder, content: Mapping[str, Any]) -> Entry:
    """The configuration that this job trains with. Raises TrainingRefused when the behaviour is not in it."""
    behaviours = content.get("behaviors")
    if not isinstance(behaviours, dict):
        raise TrainingRefused("The environment's configuration does not contain `behaviors:`.")
    if order.behaviour not in behaviours:
        known = ", ".join(map(str, behaviours)) or "none"
        raise TrainingRefused(f'The configuration has no behaviour "{order.behaviour}" (it has: {known}).')
    defaults = _mapping(content.get("default_settings") or {})
    entries = {name: _merged(defaults, _mapping(entry)) for name, entry in behaviours.items()}
    entries[order.behaviour] = _with_hyperparameters(entries[order.behaviour], order.hyperparameters)
    kept = {key: value for key, value in content.items() if key not in DROPPED}
    return {**kept, "behaviors": {name: _settled(order, name, entry) for name, entry in entries.items()}}


def _mapping(entry: Any) -> Entry:
    if not isinstance(entry, dict):
        raise TrainingRefused("Each entry of `behaviors:` in the environment's configuration must be a mapping.")
    return entry


def _with_hyperparameters(entry: Entry, given: Mapping[str, Any]) -> Entry:
    """Options of the entry, and, flat beside them, those of its `hyperparameters`: names do not collide."""
    known = schema_of("mlagents")["top_of_entry"]
    outer = {key: value for key, value in given.items() if key in known}
    inner = {key: value for key, value in given.items() if key not in known}
    if inner:
        entry = {"trainer_type": "ppo", **entry}  # ML-Agents wants it said where there are hyperparameters
    return _merged(entry, {**outer, **({"hyperparameters": inner} if inner else {})})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Entry:
    both = {
        key: _merged(below[key], value)
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **both}


def _settled(order: TrainingOrder, name: str, entry: Entry) -> Entry:
    """All behaviours get the same end: ML-Agents goes on until the last one has reached its own."""
    summary = entry.get("summary_freq", DEFAULT_SUMMARY_INTERVAL)
    steps = order.steps or order.max_steps
    often = max(1, min(DEFAULT_CHECKPOINT_INTERVAL, steps // CHECKPOINTS))
    settled: Entry = _inside(order.environment.folder, entry) | {
        "max_steps": order.max_steps,
        "checkpoint_interval": order.checkpoint_interval or often,
        "keep_checkpoints": KEPT_CHECKPOINTS,
        "even_checkpoints": False,
        "summary_freq": min(summary, max(1, steps // SUMMARIES)) if isinstance(summary, int) else summary,
        "threaded": False,  # threads would make the result depend on timing
    }
    settled.pop("init_path", None)
    if order.initialize_from and not order.resume_from and name == order.behaviour:
        settled["init_path"] = str(order.initialize_from.resolve())  # as --initialize-from, for this behaviour alone
    return settled


def _inside(folder: Path, value: Any) -> Any:
    """Demonstrations lie in the build: nothing else of this machine is read. Raises TrainingRefused."""
    if not isinstance(value, dict):
        return value
    settled = {key: _inside(folder, its) for key, its in value.items()}
    if "demo_path" in settled:
        path = (folder.resolve() / str(settled["demo_path"])).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.exists():
            raise TrainingRefused(f"The environment's build has no demonstration {str(settled['demo_path'])[:200]!r}.")
        settled["demo_path"] = str(path)
    return settled
