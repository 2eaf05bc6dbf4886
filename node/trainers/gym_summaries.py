"""What the node is told of a training in a Gymnasium environment, once a summary. Runs in the trainer's Python."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, pstdev

from torch.utils.tensorboard import SummaryWriter

from node.trainers.facts import Facts, finite


class Summaries:
    """Collects episodes; tells their rewards with the learner's statistics, also to a file for Tensorboard."""

    def __init__(self, facts: Facts, behaviour: str, folder: Path) -> None:
        self.facts, self.behaviour = facts, behaviour
        self.board = SummaryWriter(str(folder))
        self.started = time.monotonic()
        self.rewards: list[float] = []
        self.lengths: list[float] = []

    def episode(self, reward: float, length: int) -> None:
        """One has ended, with the sum of its rewards and its number of steps."""
        self.rewards.append(reward)
        self.lengths.append(float(length))

    def tell(self, step: int, learned: Mapping[str, float]) -> None:
        """`learned`: the learner's statistics by ML-Agents' names."""
        told = {name: {"mean": value, "std": 0.0, "num": 1} for name, value in learned.items()}
        if self.rewards:
            told["Environment/Cumulative Reward"] = summary(self.rewards)
            told["Environment/Episode Length"] = summary(self.lengths)
        self.facts.tell(
            "metrics",
            behaviour=self.behaviour,
            step=step,
            time_elapsed=round(time.monotonic() - self.started, 3),
            mean_reward=fmean(self.rewards) if self.rewards else None,
            std_reward=pstdev(self.rewards) if self.rewards else None,
            statistics={name: value for name, value in told.items() if finite(value)},
        )
        for name, value in told.items():
            self.board.add_scalar(name, value["mean"], step)
        self.rewards, self.lengths = [], []


def summary(values: list[float]) -> dict[str, float]:
    return {"mean": fmean(values), "std": pstdev(values), "num": len(values)}
