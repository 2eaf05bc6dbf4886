"""Plays Reach1D with a trained model, as a game would: `python environments/reach1d/play.py model.onnx`.

Needs onnxruntime and numpy only. Prints the mean reward of an episode: a random player's is about 0, a perfect
one's 0.99.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent))
from world import World


def mean_reward(model: Path, episodes: int = 200, seed: int = 1) -> float:
    """Over that many episodes, taking the model's deterministic actions."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    world = World(agents_wanted=16, seed=seed)
    world.reset()
    scores: list[float] = []
    while len(scores) < episodes:
        observations = numpy.array([agent.observation for agent in world.agents], dtype=numpy.float32)
        (actions,) = session.run(["deterministic_continuous_actions"], {"obs_0": observations})
        scores += [agent.score for agent in world.step(actions[:, 0].tolist())]
    return sum(scores[:episodes]) / episodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--episodes", type=int, default=200)
    arguments = parser.parse_args()
    print(f"{mean_reward(arguments.model, arguments.episodes):.3f}")


if __name__ == "__main__":
    main()
