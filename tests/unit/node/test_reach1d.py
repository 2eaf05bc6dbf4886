"""The reference environment's dynamics, and that its manifest tells the truth."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "environments" / "reach1d"


@pytest.fixture(scope="module")
def world() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reach1d_world", FOLDER / "world.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    __import__("sys").modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_going_to_the_goal_is_worth_nearly_one(world: ModuleType) -> None:
    line = world.World(agents_wanted=10, seed=1)
    line.reset()
    ended = []
    while len(ended) < 50:
        ended += line.step([agent.goal for agent in line.agents])
    assert all(agent.reached for agent in ended)
    assert min(agent.score for agent in ended) > 0.95


def test_standing_still_ends_the_episode_without_a_verdict(world: ModuleType) -> None:
    line = world.World(agents_wanted=1, seed=1)
    line.reset()
    ended = []
    while not ended:
        ended = line.step([0.0])
    assert ended[0].interrupted
    assert not ended[0].reached


def test_the_same_seed_gives_the_same_world(world: ModuleType) -> None:
    def play(seed: int) -> list[float]:
        line = world.World(agents_wanted=4, seed=seed)
        line.reset()
        for _ in range(100):
            line.step([0.3, -0.3, 1.0, 0.0])
        return [agent.position for agent in line.agents]

    assert play(1) == play(1) != play(2)


def test_the_manifest_names_what_is_there(world: ModuleType) -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    ((name, behaviour),) = manifest["behaviours"].items()
    assert name == world.BEHAVIOUR
    assert behaviour["observation_shapes"] == [[world.OBSERVATION_SIZE]]
    assert list(yaml.safe_load((FOLDER / behaviour["config"]).read_text())["behaviors"]) == [name]
    assert (FOLDER / manifest["executable"]).stat().st_mode & 0o100
