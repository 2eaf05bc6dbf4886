"""Environments for the stub trainer (tests/stub_trainer.py), and the settings by which a platform's nodes use it."""

import json
import shutil
from pathlib import Path
from typing import Any

from services.platform import ROOT
from tests.stub_trainer import model_of

STUB_TRAINER = ROOT / "tests" / "stub_trainer.py"
ENVIRONMENT = "#!/bin/sh\nexec sleep 3600\n"
"""A program that is there until somebody ends it: the stub trainer looks at nothing else."""


def stub_environments(folder: Path, **kinds: dict[str, Any]) -> Path:
    """An ENVIRONMENTS_DIR of `stub`, whose jobs train 2 000 steps a second, and of one environment for each of `kinds`,
    which gives what is different there: the fields of DEFAULTS in tests/stub_trainer.py. All have reach1d's behaviour.
    """
    for name, settings in {"stub": {}, **kinds}.items():
        build = folder / name
        build.mkdir(parents=True)
        its = json.loads((ROOT / "environments" / "reach1d" / "manifest.json").read_text())
        its["behaviours"]["Reach1D"]["steps"] = {"min": 1, "max": 100_000_000}
        its |= {"env_id": name, "executable": "environment", "num_envs": {"min": 1, "max": 8}}
        (build / "manifest.json").write_text(json.dumps(its))
        shutil.copy(ROOT / "environments" / "reach1d" / "Reach1D.yaml", build)
        (build / "environment").write_text(ENVIRONMENT)
        (build / "environment").chmod(0o755)
        (build / "stub.json").write_text(json.dumps(settings))
    return folder


def stub_settings(environments: Path) -> dict[str, str]:
    """For a Platform: its nodes train with the stub trainer in these environments."""
    return {"TRAINER_PYTHON": str(STUB_TRAINER), "ENVIRONMENTS_DIR": str(environments), "TRAINER_THREADS": "1",
            "NODE_MEMORY_MB": "1000"}  # fmt: skip


def stub_body(steps: int, env_id: str = "stub", **changes: Any) -> dict[str, Any]:
    """What a game posts for a job of `steps` steps in one of these environments; with 2 000 steps a second."""
    return {
        "agent_config": "agent_config",
        "env_config": {"agent_id": "1", "env_id": env_id, "num_of_areas": 1},
        "nn_model_config": {"behavior_name": "Reach1D", "steps": steps},
        **changes,
    }


def stub_model(run_id: str, steps: int) -> bytes:
    """What the stub trainer writes at the end of a training of so many steps."""
    return bytes(model_of(run_id, steps))
