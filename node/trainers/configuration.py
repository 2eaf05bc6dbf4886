"""The trainer configuration that an environment build has for a behaviour, whatever the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from node.trainers.base import TrainingOrder, TrainingRefused

LARGEST = 256 * 1024  # bytes; those that people write have two or three thousand


def behaviour_yaml(order: TrainingOrder) -> dict[str, Any]:
    """The build's configuration for the ordered behaviour: the manifest's own, or that of a file beside it.

    Raises TrainingRefused with the file's name.
    """
    entry = order.environment.manifest.get("behaviours", {}).get(order.behaviour)
    if entry is None:
        raise TrainingRefused(f'The environment has no behaviour "{order.behaviour}".')
    if "configuration" in entry:
        return _insist(entry["configuration"], "manifest")
    path = order.environment.folder / str(entry.get("config", f"{order.behaviour}.yaml"))
    return _insist(_read(path), path.name)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST:
            raise TrainingRefused(f"The environment's configuration {path.name} has more than {LARGEST} bytes.")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingRefused(f"The environment's configuration {path.name} is missing.") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise TrainingRefused(f"The environment's configuration {path.name} is not valid YAML{line}.") from error


def _insist(content: Any, source: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TrainingRefused(f"The environment's configuration {source} does not contain `behaviors:`.")
    return content
