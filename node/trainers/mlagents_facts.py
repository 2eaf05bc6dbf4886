"""What the running trainer tells the node: JSON lines to an inherited file descriptor, one fact a line.

Runs in the trainer's Python. Kinds: connected, metrics, checkpoint, broken, error, interrupted, finished.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping
from typing import Any

REWARDS = ("Environment/Cumulative Reward", "Environment/Group Cumulative Reward")
HIDDEN = ("Is Training", "Step")

log = logging.getLogger(__name__)


class Facts:
    """The writing end. Never raises: a training goes on when nobody listens any more."""

    def __init__(self, descriptor: int | None) -> None:
        self.descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # the environment has no business with it

    def tell(self, kind: str, **fields: Any) -> None:
        if self.descriptor is None:
            return
        line = json.dumps({"kind": kind, **fields}, default=str).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self.descriptor, line) :]
        except OSError as error:
            log.warning("The node no longer listens: %s", error)
            self.descriptor = None

    def tell_error(self, error: BaseException) -> None:
        self.tell("error", type=type(error).__name__, message=str(error)[:2000])


class StatsToFacts:
    """An ML-Agents StatsWriter (by shape, so that this file needs no ML-Agents): one fact a summary and behaviour."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.started = time.monotonic()

    def on_add_stat(self, category: str, key: str, value: float, aggregation: Any = None) -> None:
        """Called for every single value, tens of thousands of times: does nothing."""

    def add_property(self, category: str, property_type: Any, value: Any) -> None:
        """Hyperparameters and the like: configuration.yaml has them."""

    def write_stats(self, category: str, values: Mapping[str, Any], step: int) -> None:
        try:
            self._tell(category, {name: summary(value) for name, value in values.items() if name not in HIDDEN}, step)
        except Exception:  # an exception here would end the training
            log.exception("These statistics could not be told to the node.")

    def _tell(self, behaviour: str, statistics: dict[str, dict[str, float]], step: int) -> None:
        reward = next((statistics[name] for name in REWARDS if name in statistics), None)
        if reward is not None and not finite(reward):
            self.facts.tell("broken", what="reward", behaviour=behaviour, step=int(step))
            return
        self.facts.tell(
            "metrics",
            behaviour=behaviour,
            step=int(step),
            time_elapsed=round(time.monotonic() - self.started, 3),
            mean_reward=reward and reward["mean"],
            std_reward=reward and reward["std"],
            statistics={name: value for name, value in statistics.items() if finite(value)},
        )


def summary(value: Any) -> dict[str, float]:
    """`mean` is the value as the statistic's own aggregation has it (a sum stays a sum)."""
    aggregated = getattr(value, "aggregated_value", value.mean)
    return {"mean": float(aggregated), "std": float(value.std), "num": int(value.num)}


def finite(statistic: Mapping[str, float]) -> bool:
    return all(math.isfinite(number) for number in statistic.values())
