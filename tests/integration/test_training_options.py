"""Real trainings with what a job may say: several environments, another run's weights, a checkpoint that is a trap."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.ports import hold_base_port
from node.trainers.base import TrainingOrder
from tests.integration.test_training import make_order, of_kind, reach1d, run

SMALL = {"network_settings": {"hidden_units": 16, "num_layers": 1}, "learning_rate": 0.002}


@pytest.fixture
def order() -> Iterator[TrainingOrder]:
    with hold_base_port(2) as port:
        yield replace(make_order(reach1d(), port), hyperparameters=SMALL, max_steps=1_000)


def test_two_environments_train_one_model_with_which_another_run_begins(order: TrainingOrder, tmp_path: Path) -> None:
    ending, _ = run(replace(order, num_envs=2, checkpoint_interval=300), tmp_path / "1")
    assert (ending.status, ending.error) == ("succeeded", None)
    logs = {it.path.name: it.path.read_text() for it in ending.artifacts if it.kind == "environment_log"}
    assert {"Player-0.log", "Player-1.log"} <= set(logs)
    assert all("8 areas" in text for text in logs.values())
    kept = of_kind("bundle", ending.artifacts).manifest
    settings = kept["configuration"]["behaviors"]["Reach1D"]
    assert (kept["num_envs"], settings["checkpoint_interval"]) == (2, 300)
    assert settings["network_settings"]["hidden_units"] == 16

    checkpoint = of_kind("checkpoint", ending.artifacts).path
    begun, facts = run(replace(order, initialize_from=checkpoint), tmp_path / "2")
    assert begun.status == "succeeded"
    assert next(fact["step"] for fact in facts if fact["kind"] == "metrics") <= 200  # the steps begin anew
    check_wider(replace(order, hyperparameters={}), checkpoint, tmp_path)


def check_wider(order: TrainingOrder, checkpoint: Path, folder: Path) -> None:
    """The same weights do not fit the behaviour's own network."""
    ending, _ = run(replace(order, resume_from=checkpoint), folder / "3")
    sentence = 'The checkpoint to begin with does not fit the network, its part "Policy" is of another shape.'
    assert (ending.status, ending.error, ending.cause) == ("failed", sentence, "user")


class Trap:
    """What a pickle runs when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


def test_a_checkpoint_that_is_a_trap_runs_no_code(order: TrainingOrder, tmp_path: Path) -> None:
    planted, sprung = tmp_path / "checkpoint.pt", tmp_path / "sprung"
    with zipfile.ZipFile(planted, "w") as file:  # in the form of torch.save
        file.writestr("checkpoint/data.pkl", pickle.dumps({"Policy": Trap(sprung)}, protocol=2))
        file.writestr("checkpoint/version", "3\n")
        file.writestr("checkpoint/byteorder", "little")
    ending, _ = run(replace(order, initialize_from=planted), tmp_path / "1")
    assert (ending.status, ending.error) == (
        "failed", "The checkpoint to begin with holds more than weights, so it was not loaded.",
    )  # fmt: skip
    assert not sprung.exists()
