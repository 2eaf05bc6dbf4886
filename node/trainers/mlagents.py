"""The ML-Agents trainer as the node sees it: a YAML and a command line before, a folder of results after."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import yaml

from node.trainers.base import Artifact, Command, Evidence, Machine, TrainingOrder, TrainingRefused
from node.trainers.configuration import behaviour_yaml
from node.trainers.mlagents_config import job_yaml
from node.trainers.mlagents_explain import explain
from node.trainers.surroundings import check_names, trainer_environ

CONFIG = "trainer.yaml"
RESULTS = "results"
FILES = (
    ("configuration", "configuration.yaml"),
    ("environment_log", "run_logs/Player-0.log"),
    ("timers", "run_logs/timers.json"),
    ("training_status", "run_logs/training_status.json"),
)


class MLAgentsTrainer:
    """`mlagents-learn`, started through our launcher."""

    packages = ("mlagents", "torch", "onnx", "onnxruntime")

    def prepare(self, order: TrainingOrder, workspace: Path, machine: Machine) -> Command:
        if shutil.which(machine.trainer_python) is None:
            raise TrainingRefused("This training node has no Python for the trainer (TRAINER_PYTHON).", "node")
        executable = environment_executable(order)
        config = job_yaml(order, behaviour_yaml(order))
        check_names(order)
        workspace.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(workspace / RESULTS, ignore_errors=True)
        (workspace / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        place_checkpoint(order, workspace)
        return Command(
            argv=tuple(command_line(order, executable, machine)),
            environ=trainer_environ(machine),
            cwd=workspace,
        )

    def collect(self, order: TrainingOrder, workspace: Path) -> tuple[Artifact, ...]:
        results = results_folder(order, workspace)
        files = [Artifact(kind, results / name) for kind, name in (*FILES, ("model", f"{order.behaviour}.onnx"))]
        events = [Artifact("tensorboard", path) for path in sorted((results / order.behaviour).glob("events.out.*"))]
        return tuple(artifact for artifact in files + events + player_logs(results) if artifact.path.is_file())

    def explain(self, order: TrainingOrder, evidence: Evidence) -> TrainingRefused | None:
        return explain(order, evidence)


def player_logs(results: Path) -> list[Artifact]:
    """Of the second and further environments; the first one's is the environment_log."""
    found = [(re.fullmatch(r"Player-([1-9]\d{0,3})\.log", path.name), path) for path in results.glob("run_logs/*.log")]
    return [Artifact("environment_log", path, name=f"unity-{its[1]}.log") for its, path in found if its]


def results_folder(order: TrainingOrder, workspace: Path) -> Path:
    return workspace / RESULTS / order.run_id


def environment_executable(order: TrainingOrder) -> Path:
    """The program of the build, inside its folder. Raises TrainingRefused."""
    name = str(order.environment.manifest.get("executable", ""))
    folder = order.environment.folder.resolve()
    path = (folder / name).resolve()
    if not name or not path.is_relative_to(folder):
        raise TrainingRefused("The environment's manifest names no executable inside its own folder.")
    if not path.is_file():
        raise TrainingRefused(f'The environment\'s executable "{name}" is missing.')
    if not os.access(path, os.X_OK):
        raise TrainingRefused(f'The environment\'s executable "{name}" is not executable (chmod +x is missing).')
    return path


def place_checkpoint(order: TrainingOrder, workspace: Path) -> None:
    """Puts the checkpoint where `--resume` looks for it."""
    if order.resume_from is None:
        return
    target = results_folder(order, workspace) / order.behaviour / "checkpoint.pt"
    target.parent.mkdir(parents=True)
    try:
        shutil.copyfile(order.resume_from, target)
    except OSError as error:
        raise TrainingRefused(f"The checkpoint to resume from cannot be read ({error.strerror}).", "node") from error


def command_line(order: TrainingOrder, executable: Path, machine: Machine) -> list[str]:
    """mlagents-learn's arguments; those of the environment come last, as it wants them."""
    options = {
        "--run-id": order.run_id,
        "--results-dir": RESULTS,
        "--env": executable,
        "--base-port": order.base_port,
        "--seed": order.seed,
        "--num-envs": order.num_envs,
        "--num-areas": order.num_of_areas,
        "--timeout-wait": max(10, machine.connect_timeout_s),
        "--torch-device": order.device,
    }
    words = [f"{name}={value}" for name, value in options.items()]
    resume = ["--resume"] if order.resume_from else []
    arguments = [str(word) for word in order.environment.manifest.get("arguments", [])]
    env_args = ["--env-args", *arguments] if arguments else []
    launcher = [machine.trainer_python, "-m", "node.trainers.mlagents_launcher", CONFIG]
    return [*launcher, *words, "--no-graphics", *resume, *env_args]
