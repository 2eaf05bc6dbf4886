"""Gymnasium environments for tests: some ask for uncommon spaces, the others fail, each in its own way."""

from __future__ import annotations

import os
import time
from typing import Any, ClassVar

import gymnasium
import numpy
from gymnasium import spaces

VECTOR = spaces.Box(-1.0, 1.0, (3,), numpy.float32)


class World(gymnasium.Env[Any, Any]):
    """Rewards nothing, ends after ten steps, sends what its space has."""

    observation_space: Any = VECTOR
    action_space: Any = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.observation_space.sample(), self.fate(), False, self.steps == 10, {}

    def fate(self) -> float:
        return 0.0


class Image(World):
    observation_space = spaces.Box(0, 255, (40, 48, 3), numpy.uint8)
    action_space = spaces.MultiDiscrete([3, 2])


class Uneven(World):
    """Bounds that are neither -1..1 nor the same for all."""

    action_space = spaces.Box(numpy.array([-3.0, 0.0]), numpy.array([1.0, 0.5]), dtype=numpy.float32)


class Pieces(World):
    observation_space = spaces.Dict({"eye": VECTOR})


class Unbounded(World):
    action_space = spaces.Box(-numpy.inf, numpy.inf, (1,), numpy.float32)


class Raises(World):
    def fate(self) -> float:
        if self.steps == 3:
            raise ValueError("the pole broke")
        return 0.0


class NotANumber(World):
    def fate(self) -> float:
        return float("nan")


class Huge(World):
    def fate(self) -> float:
        return 1e308


class Leaves(World):
    def fate(self) -> float:
        raise SystemExit(3)


class Vanishes(World):
    def fate(self) -> float:
        os._exit(3)


class Hangs(World):
    def fate(self) -> float:
        time.sleep(3600)
        return 0.0


class WrongShape(World):
    lies: ClassVar[int] = 2

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return numpy.zeros(self.lies, numpy.float32), {}


for world in World.__subclasses__():
    gymnasium.register(f"{world.__name__}-v0", entry_point=world, disable_env_checker=True)
