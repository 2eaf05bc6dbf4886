"""ML-Agents' statistics as facts for the node: one a summary and behaviour. Runs in the trainer's Python."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from node.trainers.facts import Facts, finite

REWARDS = ("Environment/Cumulative Reward", "Environment/Group Cumulative Reward")
HIDDEN = ("Is Training", "Step")

log = logging.getLogger(__name__)


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
