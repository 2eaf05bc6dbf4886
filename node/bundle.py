"""Everything that decides a run's result, as bundle.json: with the same bundle, a rerun gives the same numbers.

Written once the trainer has told what it computes with. Names of folders, ports and runs are left out, since they
differ between two runs that are otherwise the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node import hardware
from node.builds import environment_hash
from node.central import sha256_of
from node.trainers.base import Artifact, Command, TrainingOrder

NAME = "bundle.json"
OF_THIS_RUN = ("run_id", "base_port", "results_dir", "--run-id", "--base-port", "--results-dir")
LEFT_OUT = "names of folders, and run id, ports and results folder"


def write(order: TrainingOrder, workspace: Path, command: Command, words: Mapping[str, Any]) -> Artifact:
    """bundle.json in the workspace. `words` are the trainer's last facts of each kind."""
    content = made(order, workspace, command, words)
    path = workspace / NAME
    path.write_text(json.dumps(content, indent=1, sort_keys=True, allow_nan=False, default=str), encoding="utf-8")
    return Artifact("bundle", path, json.loads(path.read_text(encoding="utf-8")))


def made(order: TrainingOrder, workspace: Path, command: Command, words: Mapping[str, Any]) -> dict[str, Any]:
    """What the trainer has not told is null: it ended too early for that."""
    told = words.get("runtime", {})
    folders = {
        str(order.environment.folder.resolve()): "<build>",
        str(workspace.resolve()): "<workspace>",
        command.argv[0]: "python",
    }
    return {
        "seed": order.seed,
        "max_steps": order.max_steps,
        "num_envs": order.num_envs,
        "areas": order.num_of_areas,
        "start": start(order),
        "configuration": general(words.get("configuration", {}).get("configuration"), folders),
        "environment": environment(order),
        "python": told.get("python"),
        "packages": told.get("packages"),
        "driver": told.get("driver"),
        "threads": told.get("threads"),
        "device": order.device,
        "hardware": hardware.described(),
        "command": [general(word, folders) for word in command.argv if word.split("=")[0] not in OF_THIS_RUN],
        "left_out": LEFT_OUT,
    }


def start(order: TrainingOrder) -> dict[str, Any]:
    """What the first weights were."""
    if order.resume_from:
        return {"from": "its own checkpoint", "sha256": sha256_of(order.resume_from)}
    if order.initialize_from:
        return {"from": "another run's checkpoint", "sha256": sha256_of(order.initialize_from)}
    return {"from": "the seed", "sha256": None}


def environment(order: TrainingOrder) -> dict[str, Any]:
    manifest = order.environment.manifest
    return {name: manifest.get(name) for name in ("env_id", "version")} | {
        "sha256": environment_hash(order.environment)
    }


def general(value: Any, folders: Mapping[str, str]) -> Any:
    """The same without what is of this run alone."""
    if isinstance(value, Mapping):
        return {str(key): general(its, folders) for key, its in value.items() if key not in OF_THIS_RUN}
    if isinstance(value, list | tuple):
        return [general(its, folders) for its in value]
    if isinstance(value, str):
        for folder, name in folders.items():
            value = value.replace(folder, name)
    return value
