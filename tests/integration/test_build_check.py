"""A node tries a build before it trains in it: what it says of a good one, and of each that is not."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.build_check import look_at
from node.config import Config
from node.trainers.base import EnvironmentBuild
from services.platform import trainer_python
from tests.integration.trainings import trainings
from wire.jobs import JobSpec

ROOT = Path(__file__).parents[2]
REACH1D = ROOT / "environments" / "reach1d"
CARTPOLE = ROOT / "environments" / "cartpole"
BROKEN = Path(__file__).parent / "environments" / "broken"
RUN = "5667524a-ab1d-42e8-b5bd-e692755d03b0"
MANIFEST: dict[str, Any] = json.loads((REACH1D / "manifest.json").read_text())
SEEN = {"Reach1D": {"observation_shapes": [[2]], "actions": {"continuous": 1, "discrete": []}}}
CART = {"CartPole": {"observation_shapes": [[4]], "actions": {"continuous": 0, "discrete": [2]}}}


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = trainings()
    yield
    assert trainings() <= before


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(trainer_python=trainer_python(), node_data_dir=str(tmp_path / "node"), connect_seconds=30)


def spec() -> JobSpec:
    return JobSpec(RUN, 1, "reach1d", "Reach1D", 1_000, 1, 1, "")


def build(folder: Path, way: str = "fine", **manifest: Any) -> EnvironmentBuild:
    folder.mkdir()
    shutil.copy(BROKEN, folder / "broken")
    return EnvironmentBuild(folder, {**MANIFEST, "executable": "broken", "arguments": [way], **manifest})


@pytest.mark.parametrize(("folder", "seen"), [(REACH1D, SEEN), (CARTPOLE, CART)], ids=["unity", "gymnasium"])
def test_a_good_build_passes_and_shows_its_behaviours(
    config: Config, tmp_path: Path, folder: Path, seen: dict[str, Any]
) -> None:
    its = EnvironmentBuild(folder, json.loads((folder / "manifest.json").read_text()))
    finding = look_at(config, spec(), its, tmp_path / "training", threading.Event())
    assert (finding.error, finding.found) == (None, seen)
    assert finding.seconds > 0


@pytest.mark.parametrize(
    ("way", "seconds", "sentence"),
    [
        ("exits", 30, "The environment ended (exit code 3) before it had connected to the trainer."),
        ("never-connects", 2, "The environment started but did not connect to the trainer in time."),
        ("floods-its-log", 30, "The environment wrote more than 64 MB into its log."),
        ("crashes-early", 30, "The environment connected, but ended (exit code 7) in its first steps."),
        ("hangs-early", 7, "The environment connected, but then stopped answering."),
        ("other-behaviour", 30, 'The environment shows no agent of the behaviour "Reach1D" (it shows: Other).'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_build_is_said_in_a_sentence(
    config: Config, tmp_path: Path, way: str, seconds: int, sentence: str
) -> None:
    impatient = replace(config, connect_seconds=seconds)
    finding = look_at(impatient, spec(), build(tmp_path / "build", way), tmp_path / "training", threading.Event())
    assert finding.error == sentence
