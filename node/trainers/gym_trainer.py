"""Trainers that run a Gymnasium environment in their own process, as the node sees them.

Before: a file with everything that the process needs (`gym_session.Session` reads it); after: a folder of results.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.trainers.base import Artifact, Command, Evidence, Machine, TrainingOrder, TrainingRefused, cause_of
from node.trainers.configuration import behaviour_yaml
from node.trainers.explanations import Rules, explain_error, explain_exit
from node.trainers.surroundings import check_names, trainer_environ

ORDER = "trainer.json"
RESULTS = "results"
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
RULES: Rules = (
    ("ValueError", "satisfy the constraint",
     "The training diverged: its network gives numbers that are not finite. A smaller learning rate may help.", "",
     "user"),
)  # fmt: skip


class GymTrainer:
    """A subclass names its `launcher`, a module that calls `gym_launch.main`."""

    launcher: str
    packages: tuple[str, ...] = ("gymnasium", "torch", "onnx", "onnxruntime")

    def prepare(self, order: TrainingOrder, workspace: Path, machine: Machine) -> Command:
        if shutil.which(machine.trainer_python) is None:
            raise TrainingRefused("This training node has no Python for the trainer (TRAINER_PYTHON).", "node")
        check_names(order)
        content = self.order_file(order, machine)
        results = workspace / RESULTS
        shutil.rmtree(results, ignore_errors=True)
        (results / order.behaviour).mkdir(parents=True)
        (workspace / ORDER).write_text(json.dumps(content, indent=1), encoding="utf-8")
        argv = (machine.trainer_python, "-m", self.launcher, ORDER)
        return Command(argv=argv, environ=trainer_environ(machine), cwd=workspace)

    def order_file(self, order: TrainingOrder, machine: Machine) -> dict[str, Any]:
        """What the trainer's process reads. Raises TrainingRefused."""
        if order.num_envs != 1:
            raise TrainingRefused(
                "A Gymnasium environment runs inside its trainer: num_envs must be 1; num_of_areas makes more of them."
            )
        behaviour = order.environment.manifest["behaviours"].get(order.behaviour, {})
        return {
            "behaviour": order.behaviour,
            "entry": self.entry(order),
            "max_steps": order.max_steps,
            "num_of_areas": order.num_of_areas,
            "seed": order.seed,
            "device": order.device,
            "checkpoint_interval": order.checkpoint_interval,
            "resume_from": str(order.resume_from.absolute()) if order.resume_from else None,
            "initialize_from": str(order.initialize_from.absolute()) if order.initialize_from else None,
            "results": RESULTS,
            "step_seconds": machine.connect_timeout_s,
            "environment": {
                **environment_of(order.environment.folder, order.environment.manifest),
                "observation_shapes": behaviour.get("observation_shapes"),
                "actions": behaviour.get("actions"),
            },
        }

    def entry(self, order: TrainingOrder) -> Mapping[str, Any]:
        """The behaviour's configuration with the job's options laid over it. Raises TrainingRefused."""
        return behaviour_entry(order) | dict(order.hyperparameters)

    def collect(self, order: TrainingOrder, workspace: Path) -> tuple[Artifact, ...]:
        results = workspace / RESULTS
        files = [
            Artifact("configuration", results / "configuration.yaml"),
            Artifact("model", results / f"{order.behaviour}.onnx"),
            *(Artifact("tensorboard", path) for path in sorted((results / order.behaviour).glob("events.out.*"))),
        ]
        return tuple(artifact for artifact in files if artifact.path.is_file())

    def explain(self, order: TrainingOrder, evidence: Evidence) -> TrainingRefused | None:
        facts = {str(fact["kind"]): fact for fact in evidence.facts}
        if "error" in facts:
            return _explain_error(facts["error"])
        if "finished" in facts or "interrupted" in facts:
            return None
        if "connected" in facts and 0 <= evidence.exit_code <= 128:
            return TrainingRefused(f"The environment ended its trainer's process (exit code {evidence.exit_code}).")
        return explain_exit(evidence.exit_code)


def environment_of(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """How the environment is made: gym_id, and the build's module that registers it. Raises TrainingRefused."""
    gym_id, module = manifest.get("gym_id"), manifest.get("module")
    if not isinstance(gym_id, str) or not gym_id:
        raise TrainingRefused('The environment\'s manifest names no "gym_id".')
    if module is not None and not (isinstance(module, str) and MODULE.fullmatch(module)):
        raise TrainingRefused(f"The environment's manifest names a module {str(module)[:100]!r}, which cannot be one.")
    return {"gym_id": gym_id, "module": module, "folder": str(folder.resolve())}


def behaviour_entry(order: TrainingOrder) -> dict[str, Any]:
    """The behaviour's entry of its configuration. Raises TrainingRefused."""
    behaviours = behaviour_yaml(order).get("behaviors")
    entry = behaviours.get(order.behaviour) if isinstance(behaviours, Mapping) else None
    if not isinstance(entry, dict):
        raise TrainingRefused(f'The environment\'s configuration has no behaviour "{order.behaviour}".')
    return entry


def _explain_error(error: Mapping[str, Any]) -> TrainingRefused:
    """What the launcher refused itself is a sentence already."""
    if error.get("type") == TrainingRefused.__name__:
        return TrainingRefused(str(error["message"]), cause_of(error.get("cause")))
    return explain_error(RULES, error, connected=True)
