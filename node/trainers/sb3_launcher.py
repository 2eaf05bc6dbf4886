"""Trains with Stable-Baselines3 in the trainer's Python: `python -m node.trainers.sb3_launcher ORDER_FILE`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from node.trainers.base import TrainingRefused
from node.trainers.explanations import one_line
from node.trainers.gym_launch import main
from node.trainers.gym_session import Session
from node.trainers.gym_world import is_image
from node.trainers.sb3_learner import SB3Learner
from wire.sb3 import ALGORITHMS, resolve

ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
SMALLEST_IMAGE = 36  # that Stable-Baselines3's convolutions can take
SEEDS = 2**31


class Progress(BaseCallback):
    """Tells the session of every step of all environments."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def _on_step(self) -> bool:
        self.session.progress(self.num_timesteps)
        return True


def train(session: Session) -> None:
    """From the session's step to its max_steps; ends with the rollout in which they are reached."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    entry = _checked(session.entry)
    state, is_resumed = session.checkpoint()
    start = state["step"] if state and is_resumed else 0
    algorithm = make(session, entry, (session.seed + start) % SEEDS)  # not the same episodes once more
    learner = SB3Learner(algorithm)
    if state:
        (learner.resume if is_resumed else learner.initialize)(state)
    if is_resumed and hasattr(algorithm, "learning_starts"):
        _fill_again(algorithm, start)
    session.begin(learner, start, configuration(algorithm, entry))
    ahead = session.max_steps - start
    if ahead > 0:
        algorithm.learn(ahead, callback=Progress(session), log_interval=None, reset_num_timesteps=False)


def make(session: Session, entry: Mapping[str, Any], seed: int) -> Any:
    """The algorithm over its environments. Raises TrainingRefused where they do not go together."""
    environments = DummyVecEnv([session.environment for _ in range(session.num_of_areas)])
    options = dict(entry["hyperparameters"])
    schedule = options.pop("learning_rate_schedule", "constant")
    kind, policy = getattr(stable_baselines3, entry["algorithm"]), _policy(entry, environments.observation_space)
    if policy != "CnnPolicy":
        torch.set_num_threads(1)  # more would wait for each other in networks this small, and change the numbers
    try:
        algorithm = kind(
            policy, environments, seed=seed, device=session.order["device"],
            policy_kwargs=_network(entry), **options,
        )  # fmt: skip
    except (AssertionError, ValueError) as error:
        raise TrainingRefused(
            f"{entry['algorithm']} cannot train in this environment with these options: {one_line(str(error))}"
        ) from error
    if schedule == "linear":
        first = algorithm.lr_schedule(1.0)
        algorithm.lr_schedule = lambda ahead: first * ahead
    algorithm.set_logger(Logger(folder=None, output_formats=[]))
    return algorithm


def configuration(algorithm: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with every default that Stable-Baselines3 has for what it does not say."""
    found = {name: getattr(algorithm, name, None) for name in ALGORITHMS[entry["algorithm"]]}
    plain = {name: value(1.0) if callable(value) else value for name, value in found.items()}
    said = {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str)}
    return {
        **entry,
        "policy": _policy(entry, algorithm.env.observation_space),
        "hyperparameters": {**said, **entry["hyperparameters"]},
    }


def _checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return resolve(entry, {})
    except ValueError as error:
        raise TrainingRefused(f"The trainer's configuration is not valid: {error}") from error


def _policy(entry: Mapping[str, Any], space: Any) -> str:
    is_large = is_image(space) and sorted(space.shape)[-2] >= SMALLEST_IMAGE
    chosen = str(entry.get("policy") or ("CnnPolicy" if is_large else "MlpPolicy"))
    if chosen == "CnnPolicy" and not is_large:
        raise TrainingRefused(
            f"CnnPolicy needs images of at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} as observations."
        )
    return chosen


def _network(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Only what is said: the rest is the algorithm's own choice."""
    settings, options = entry["network_settings"], {}
    if "hidden_units" in settings or "num_layers" in settings:
        options["net_arch"] = [int(settings.get("hidden_units", 64))] * int(settings.get("num_layers", 2))
    if "activation" in settings:
        options["activation_fn"] = ACTIVATIONS[settings["activation"]]
    return options


def _fill_again(algorithm: Any, step: int) -> None:
    """What was experienced is not in a checkpoint: gather as much as at the start, but act as has been learned."""
    sample = algorithm._sample_action
    algorithm._sample_action = lambda learning_starts, *rest: sample(0, *rest)
    algorithm.learning_starts += step


if __name__ == "__main__":
    sys.exit(main(train))
