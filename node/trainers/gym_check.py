"""Tries a Gymnasium build: `python -m node.trainers.gym_check ASKED_JSON_FILE`, in the trainer's Python.

Makes the environment, resets it, takes a few random steps, and compares its spaces with what its manifest promises.
Tells one fact "checked" on TRAINER_FACTS_FD.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from node.trainers.base import TrainingRefused
from node.trainers.explanations import one_line
from node.trainers.facts import Facts
from node.trainers.gym_trainer import environment_of
from node.trainers.gym_watch import Clock, Watched
from node.trainers.gym_world import World, described

STEPS = 50
Found = dict[str, dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    descriptor = os.environ.get("TRAINER_FACTS_FD")
    facts = Facts(int(descriptor) if descriptor else None)
    asked = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    found: Found = {}

    def tell(refused: BaseException | None) -> None:
        facts.tell("checked", error=refused and str(refused), cause=getattr(refused, "cause", None), found=found)

    try:
        look(asked, found, Clock(float(asked["connect_seconds"]), tell))
    except TrainingRefused as refused:
        tell(refused)
        return 1
    except Exception as error:
        traceback.print_exc()
        words = f"The check of the environment failed: {type(error).__name__}: {one_line(str(error))}"
        tell(TrainingRefused(words, "node"))
        return 1
    tell(None)
    return 0


def look(asked: Mapping[str, Any], found: Found, clock: Clock) -> None:
    """Adds to `found` what each behaviour really is. Raises TrainingRefused where nothing can be trained."""
    manifest = asked["manifest"]
    how = environment_of(Path(asked["folder"]), manifest)
    for name, promised in manifest["behaviours"].items():
        promises = {key: promised.get(key) for key in ("observation_shapes", "actions")}
        world = World({**how, **promises})
        made = world.make()
        found[name] = described(made)
        world.check(made)
        follow(Watched(made, lambda reward, length: None, clock), int(asked["seed"]))


def follow(environment: Watched, seed: int) -> None:
    """Random steps, over the end of an episode where one comes."""
    environment.action_space.seed(seed)
    environment.reset(seed=seed)
    for _ in range(STEPS):
        *_, terminated, truncated, _ = environment.step(environment.action_space.sample())
        if terminated or truncated:
            environment.reset()
    environment.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
