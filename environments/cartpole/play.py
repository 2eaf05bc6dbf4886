"""Plays CartPole with a trained model, as a game would: `python environments/cartpole/play.py model.onnx`.

Needs gymnasium, onnxruntime and numpy only. Prints the mean reward of an episode: a random player's is about 22, a
perfect one's 500.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium
import numpy
import onnxruntime


def mean_reward(model: Path, episodes: int = 20, seed: int = 1) -> float:
    """Over that many episodes, taking the model's deterministic actions."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    world = gymnasium.make("CartPole-v1")
    return sum(_play(session, world, seed + episode) for episode in range(episodes)) / episodes


def _play(session: onnxruntime.InferenceSession, world: gymnasium.Env, seed: int) -> float:
    observation, _ = world.reset(seed=seed)
    masks = numpy.ones((1, 2), dtype=numpy.float32)
    score, ended = 0.0, False
    while not ended:
        inputs = {"obs_0": observation[None].astype(numpy.float32), "action_masks": masks}
        (actions,) = session.run(["deterministic_discrete_actions"], inputs)
        observation, reward, terminated, truncated, _ = world.step(int(actions[0, 0]))
        score, ended = score + float(reward), terminated or truncated
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--episodes", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{mean_reward(arguments.model, arguments.episodes):.1f}")


if __name__ == "__main__":
    main()
