"""The committed schemas are what the trainers' own Python says."""

import json
import os
import subprocess
from pathlib import Path

from wire.schemas import schema_of

PROJECT = Path(__file__).resolve().parents[2]
TRAINER_PYTHON = os.environ.get("TRAINER_PYTHON", str(PROJECT / ".venv-node" / "bin" / "python"))


def test_ml_agents_options_are_those_of_its_own_classes() -> None:
    program = [TRAINER_PYTHON, "-W", "ignore", "-m", "node.trainers.mlagents_schema"]
    written = subprocess.run(program, cwd=PROJECT, capture_output=True, check=True, timeout=120).stdout
    assert json.loads(written) == schema_of("mlagents")


def test_names_of_the_two_levels_do_not_collide() -> None:
    """Which is why a job's hyperparameters can be flat."""
    document = schema_of("mlagents")
    for entry in document["types"].values():
        assert not set(entry["properties"]["hyperparameters"]["properties"]) & set(document["top_of_entry"])
