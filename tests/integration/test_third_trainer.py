"""The trainer that CONTRIBUTING.md shows: one file and one line, in a copy of the project, and it trains."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TRAINER_PYTHON = os.environ.get("TRAINER_PYTHON", str(PROJECT / ".venv-node" / "bin" / "python"))
KIND = "gymnasium-linear"
PROGRAM = """
import json, os, sys, threading
from pathlib import Path
from coordinator.environments import TRAINERS
from node.trainers.base import EnvironmentBuild, Machine, TrainingOrder
from node.training import train

build = Path("environments/cartpole").resolve()
build = EnvironmentBuild(build, json.loads((build / "manifest.json").read_text()) | {"kind": sys.argv[1]})
order = TrainingOrder("run-1", 1, "CartPole", build, max_steps=4000, num_of_areas=1, seed=1, base_port=0)
facts = []
ending = train(order, Path("workspace"), facts.append, threading.Event(), Machine(sys.argv[2], dict(os.environ)),
               trainer=TRAINERS[sys.argv[1]])
print(json.dumps({"status": ending.status, "error": ending.error, "log": ending.log_tail, "facts": facts,
                  "files": {it.kind: str(it.path) for it in ending.artifacts}}))
"""


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    """The file and the line, as the guide has them."""
    guide = (PROJECT / "CONTRIBUTING.md").read_text().partition("**A trainer.**")[2]
    return re.findall(r"```python\n(.*?)```", guide, re.DOTALL)[:2]


def test_the_example_is_short(blocks: list[str]) -> None:
    assert len(blocks[0].splitlines()) < 80
    assert len(blocks[1].splitlines()) == 1


def test_one_file_and_one_line_make_a_trainer(blocks: list[str], tmp_path: Path) -> None:
    for folder in ("wire", "node", "coordinator", "environments"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "node" / "trainers" / "cross_entropy.py").write_text(blocks[0])
    table = tmp_path / "wire" / "trainers.py"
    table.write_text(table.read_text().replace("TRAINERS = {\n", f"TRAINERS = {{\n{blocks[1]}"))

    program = [sys.executable, "-c", PROGRAM, KIND, str(Path(TRAINER_PYTHON).absolute())]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(program, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ending = json.loads(done.stdout)

    assert (ending["status"], ending["error"]) == ("succeeded", None), ending["log"]
    assert {"model", "checkpoint", "configuration", "tensorboard"} <= {*ending["files"]}
    rewards = [fact["mean_reward"] for fact in ending["facts"] if fact.get("mean_reward")]
    assert rewards[-1] > 1.5 * rewards[0]
    assert Path(tmp_path, ending["files"]["model"]).is_file()
