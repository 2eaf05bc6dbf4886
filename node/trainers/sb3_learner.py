"""A Stable-Baselines3 algorithm as the session sees it: its state, its model, its statistics.

Runs in the trainer's Python.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.trainers.gym_session import refuse_state
from node.trainers.gym_world import observed
from node.trainers.onnx_export import export
from node.trainers.sb3_actors import game_model

TRAINER = "sb3"

# Stable-Baselines3's name, ML-Agents', and what to multiply by
STATISTICS = (
    ("train/policy_gradient_loss", "Losses/Policy Loss", 1),
    ("train/policy_loss", "Losses/Policy Loss", 1),
    ("train/actor_loss", "Losses/Policy Loss", 1),
    ("train/value_loss", "Losses/Value Loss", 1),
    ("train/critic_loss", "Losses/Value Loss", 1),
    ("train/loss", "Losses/Total Loss", 1),
    ("train/ent_coef_loss", "Losses/Entropy Coefficient Loss", 1),
    ("train/entropy_loss", "Policy/Entropy", -1),
    ("train/learning_rate", "Policy/Learning Rate", 1),
    ("train/clip_range", "Policy/Epsilon", 1),
    ("train/ent_coef", "Policy/Entropy Coefficient", 1),
    ("train/approx_kl", "Policy/Approximate KL", 1),
    ("train/explained_variance", "Policy/Explained Variance", 1),
    ("rollout/exploration_rate", "Policy/Exploration Rate", 1),
)


class SB3Learner:
    """Of an algorithm that has been made but not trained."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm = algorithm
        self.name = type(algorithm).__name__

    def state(self) -> Mapping[str, Any]:
        """Weights and optimizers by their names in the algorithm, as `torch.save` takes them without pickling."""
        variables = {name: getattr(self.algorithm, name).detach() for name in self._variables()}
        return {"trainer": TRAINER, "algorithm": self.name,
                "parameters": self.algorithm.get_parameters(), "variables": variables}  # fmt: skip

    def export(self, path: Path) -> None:
        self.algorithm.policy.set_training_mode(False)
        model = copy.deepcopy(game_model(self.algorithm)).to("cpu")
        export(model, observed(self.algorithm.env.observation_space), path)

    def statistics(self) -> Mapping[str, float]:
        values = self.algorithm.logger.name_to_value
        return {told: float(values[name]) * factor for name, told, factor in STATISTICS if name in values}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Takes over all of a checkpoint, also its step. Raises TrainingRefused when it does not fit."""
        self._check(state)
        try:
            self.algorithm.set_parameters(dict(state["parameters"]), exact_match=True)
            for name in self._variables():
                getattr(self.algorithm, name).data.copy_(state["variables"][name])
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise refuse_state("does not fit this training") from error
        self.algorithm.num_timesteps = state["step"]

    def initialize(self, state: Mapping[str, Any]) -> None:
        """Takes over the weights only: a new training, at step 0. Raises TrainingRefused when they do not fit."""
        self._check(state)
        self.algorithm.policy.load_state_dict(state["parameters"]["policy"])

    def _check(self, state: Mapping[str, Any]) -> None:
        if state.get("trainer") != TRAINER or not isinstance(state.get("parameters"), Mapping):
            raise refuse_state("is not one of this trainer")
        if state.get("algorithm") != self.name:
            raise refuse_state(f"is of {state.get('algorithm')}, this training is of {self.name}")
        wanted, found = _shapes(self.algorithm.policy.state_dict()), _shapes(state["parameters"].get("policy"))
        wrong = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        if wrong:
            raise refuse_state(f'does not fit the network, its part "{wrong[0]}" is of another shape')

    def _variables(self) -> list[str]:
        """Names of tensors that the algorithm learns beside its networks, such as SAC's entropy coefficient."""
        names = self.algorithm._get_torch_save_params()[1]
        return [name for name in names if getattr(self.algorithm, name, None) is not None]


def _shapes(state: Any) -> dict[str, Any]:
    items = state.items() if isinstance(state, Mapping) else ()
    return {str(name): getattr(value, "shape", None) for name, value in items}
