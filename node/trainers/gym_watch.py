"""Watches a Gymnasium environment in the trainer's process: what it does wrong becomes a sentence.

Runs in the trainer's Python.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy

from node.trainers.base import TrainingRefused
from node.trainers.gym_world import words

HUNG_EXIT_CODE = 75
MOST = 1e300  # an episode with more than that cannot be averaged with others


class Clock:
    """Ends the process, with a sentence, when an environment does not come back from a step."""

    def __init__(self, limit_s: float, tell: Callable[[BaseException], None]) -> None:
        self.limit_s, self.tell = limit_s, tell
        self.since: float | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def running(self) -> Iterator[None]:
        self.since = time.monotonic()
        try:
            yield
        finally:
            self.since = None

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self.limit_s / 4))
            since = self.since
            if since is not None and time.monotonic() - since > self.limit_s:
                self.tell(TrainingRefused(f"The environment has not answered for {self.limit_s:g} s."))
                os._exit(HUNG_EXIT_CODE)


class Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds up each episode's reward, and refuses what no trainer could learn from."""

    def __init__(self, env: Any, on_episode: Callable[[float, int], None], clock: Clock) -> None:
        super().__init__(env)
        self.on_episode, self.clock = on_episode, clock
        self.reward, self.length = 0.0, 0

    def reset(self, **options: Any) -> Any:
        with self._blamed("reset"):
            observation, info = self.env.reset(**options)
            self._check(observation)
        self.reward, self.length = 0.0, 0
        return observation, info

    def step(self, action: Any) -> Any:
        with self._blamed("step"):
            observation, reward, terminated, truncated, info = self.env.step(action)
            reward = float(reward)
            self._check(observation)
        self.reward, self.length = self.reward + reward, self.length + 1
        if not abs(self.reward) <= MOST:
            raise TrainingRefused(f"The environment's reward is not a finite number ({reward:g}).")
        if terminated or truncated:
            self.on_episode(self.reward, self.length)
        return observation, reward, bool(terminated), bool(truncated), info

    def _check(self, observation: Any) -> None:
        space = self.observation_space
        if numpy.shape(observation) != space.shape:
            raise TrainingRefused(
                f"The environment sent an observation of the shape {list(numpy.shape(observation))}, "
                f"its space promises {list(space.shape or ())}."
            )
        if not numpy.isfinite(observation).all():
            raise TrainingRefused("The environment sent an observation that is not of finite numbers.")

    @contextmanager
    def _blamed(self, method: str) -> Iterator[None]:
        try:
            with self.clock.running():
                yield
        except TrainingRefused:
            raise
        except (Exception, SystemExit) as error:
            raise TrainingRefused(f"The environment failed in {method}(): {words(error)}.") from error
