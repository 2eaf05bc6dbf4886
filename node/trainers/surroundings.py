"""What every trainer's process is given on a node: a small environment, and names that are safe in paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from node.trainers.base import Machine, TrainingOrder, TrainingRefused

NAME = re.compile(r"\w[\w .+-]{0,127}")
PROJECT = Path(__file__).resolve().parents[2]

# What the trainer and the environment build get of the node's variables. Tokens and addresses are not among them.
HARMLESS = {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "DISPLAY", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
            "TRAIN_BRIDGE_URL"}  # fmt: skip
HARMLESS_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "XDG_", "OMP_", "MKL_", "KMP_")


def check_names(order: TrainingOrder) -> None:
    """Names become file names and arguments here, so nothing else may be in them. Raises TrainingRefused."""
    for name in (order.run_id, order.behaviour):
        if not NAME.fullmatch(name):
            raise TrainingRefused(f"{name!r} cannot be the name of a run or behaviour.")
    if order.max_steps < 1 or order.num_of_areas < 1 or order.seed < 0:
        raise TrainingRefused("max_steps and num_of_areas must be at least 1, seed at least 0.")


def trainer_environ(machine: Machine) -> Mapping[str, str]:
    """A small environment: whatever a build does, it finds no secret of the node in there."""
    kept = {name: value for name, value in machine.environ.items() if _harmless(name)}
    return {
        **kept,
        # the trainer's own python3 first: environments written in Python find it by their shebang
        "PATH": os.pathsep.join([str(Path(machine.trainer_python).absolute().parent), kept.get("PATH", os.defpath)]),
        "PYTHONPATH": str(PROJECT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "TRAINER_THREADS": str(machine.threads),
        "OMP_NUM_THREADS": str(machine.threads),
    }


def _harmless(name: str) -> bool:
    return name in HARMLESS or name.startswith(HARMLESS_PREFIXES)
