"""Stable-Baselines3's part of checking hyperparameters: what is wrong is said by `wire.sb3`, as on the nodes."""

from collections.abc import Mapping
from typing import Any

from wire.sb3 import resolve

from ..errors import BadRequest

Json = Mapping[str, Any]
WHERE, BUILD = "hyperparameters", "The environment's configuration"


def check_job(behaviour: Json, name: str, given: Json) -> None:
    """Flat: options of the behaviour's entry, and those of its `hyperparameters` beside them. Raises BadRequest."""
    try:
        resolve(_entry_of(behaviour, name), given)
    except ValueError as error:
        raise BadRequest(f"{WHERE}: {error}") from error


def check_build(behaviour: Json, name: str) -> None:
    """Raises BadRequest where the behaviour has no configuration that could be trained with."""
    try:
        resolve(_entry_of(behaviour, name), {})
    except ValueError as error:
        raise BadRequest(f"{BUILD} of {name}: {error}") from error


def _entry_of(behaviour: Json, name: str) -> Json:
    behaviours = (behaviour.get("configuration") or {}).get("behaviors")
    entry = behaviours.get(name) if isinstance(behaviours, Mapping) else None
    if not isinstance(entry, Mapping):
        raise BadRequest(f"{BUILD} of {name} has no entry {name!r} in `behaviors:`.")
    return entry
