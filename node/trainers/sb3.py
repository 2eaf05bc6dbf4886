"""Stable-Baselines3 on Gymnasium environments as the node sees it: PPO, A2C, SAC and DQN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.trainers.base import TrainingOrder, TrainingRefused
from node.trainers.gym_trainer import GymTrainer, behaviour_entry
from wire.sb3 import resolve


class SB3Trainer(GymTrainer):
    """The algorithm stands in the behaviour's configuration."""

    launcher = "node.trainers.sb3_launcher"
    packages = ("stable-baselines3", *GymTrainer.packages)

    def entry(self, order: TrainingOrder) -> Mapping[str, Any]:
        try:
            return resolve(behaviour_entry(order), order.hyperparameters)
        except ValueError as error:
            raise TrainingRefused(f"The trainer's configuration is not valid: {error}") from error
