"""One training in a Gymnasium environment, inside the trainer's process.

A launcher calls `gym_launch.main(train)`. `train(session)` makes environments, calls `begin`, and `progress` after
every step; summaries, checkpoints, the model and the stop happen here. Runs in the trainer's Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml

from node.trainers.base import TrainingRefused
from node.trainers.checkpoints import Checkpoints, load
from node.trainers.facts import Facts
from node.trainers.gym_summaries import Summaries
from node.trainers.gym_watch import Clock, Watched
from node.trainers.gym_world import World
from node.trainers.runtime import described
from node.trainers.stopping import StopRequest

CHECKPOINTS, LONGEST_CHECKPOINT_INTERVAL = 10, 500_000  # at least so many a training, and never rarer than that
SUMMARIES, LONGEST_SUMMARY_INTERVAL = 20, 50_000


class Learner(Protocol):
    """What learns, as far as the session must know it."""

    def state(self) -> Mapping[str, Any]:
        """Everything to go on from: tensors, numbers, strings, lists and dicts only."""

    def export(self, path: Path) -> None:
        """Writes the model with `onnx_export.export`."""

    def statistics(self) -> Mapping[str, float]:
        """What to tell beside the rewards, by ML-Agents' names: "Losses/Policy Loss"."""


class Session:
    """A training's order (see `gym_trainer`), and what comes of it."""

    learner: Learner
    summary_every: int
    checkpoint_every: int

    def __init__(self, order: Mapping[str, Any], facts: Facts, stop: StopRequest) -> None:
        self.order, self.facts, self.stop = order, facts, stop
        self.behaviour, self.max_steps, self.seed = str(order["behaviour"]), int(order["max_steps"]), int(order["seed"])
        self.num_of_areas, self.entry = int(order["num_of_areas"]), order["entry"]
        self.results = Path(order["results"])
        self.begun, self.step = False, 0
        self.world = World(order["environment"])
        self.clock = Clock(float(order["step_seconds"]), facts.tell_error)
        self.summaries = Summaries(facts, self.behaviour, self.results / self.behaviour)
        self.checkpoints = Checkpoints(facts, self.behaviour, self.results / self.behaviour)

    def environment(self) -> Watched:
        """One more environment. Raises TrainingRefused where there is none that can be trained."""
        made = self.world.make()
        self.world.check(made)
        return Watched(made, self.summaries.episode, self.clock)

    def checkpoint(self) -> tuple[dict[str, Any] | None, bool]:
        """The state to begin with, if any, and whether to go on at its step. Raises TrainingRefused."""
        path = self.order["resume_from"] or self.order["initialize_from"]
        return (load(Path(path)) if path else None), bool(self.order["resume_from"])

    def begin(self, learner: Learner, step: int = 0, configuration: Mapping[str, Any] | None = None) -> None:
        """Training starts here, at that step. `configuration` is what it really uses, every default included."""
        self.learner, self.step, self.begun = learner, step, True
        ahead = max(1, self.max_steps - step)
        asked = self.entry.get("summary_freq", LONGEST_SUMMARY_INTERVAL)
        self.summary_every = max(1, min(asked, ahead // SUMMARIES))
        own = max(1, min(LONGEST_CHECKPOINT_INTERVAL, ahead // CHECKPOINTS))
        self.checkpoint_every = int(self.order["checkpoint_interval"] or own)
        self._keep_configuration(configuration or self.entry)
        self.facts.tell("connected", behaviours=[self.behaviour])

    def progress(self, step: int) -> None:
        """So many environment steps have been made in all. Raises KeyboardInterrupt when the training is to stop."""
        before, self.step = self.step, step
        if step // self.summary_every > before // self.summary_every:
            self.summaries.tell(step, self.learner.statistics())
        if step // self.checkpoint_every > before // self.checkpoint_every and step < self.max_steps:
            self.checkpoints.keep(step, self.learner.state(), self.learner.export)
        self.stop.take()

    def end(self) -> None:
        """Saves for the last time; nothing interrupts it any more."""
        self.stop.close()
        if self.begun:
            self.checkpoints.keep(self.step, self.learner.state(), self.learner.export)
            self.learner.export(self.results / f"{self.behaviour}.onnx")
        self.summaries.board.close()

    def _keep_configuration(self, configuration: Mapping[str, Any]) -> None:
        intervals = {"summary_freq": self.summary_every, "checkpoint_interval": self.checkpoint_every}
        content = {
            "behaviors": {
                self.behaviour: {**configuration, "max_steps": self.max_steps, "start_step": self.step, **intervals}
            },
            "environment": {"gym_id": self.world.gym_id, "num_of_areas": self.num_of_areas},
            "seed": self.seed,
            "threads": torch.get_num_threads(),
            "device": self.order["device"],
        }
        (self.results / "configuration.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        self.facts.tell("configuration", configuration=content)
        self.facts.tell("runtime", **described())


def refuse_state(why: str) -> TrainingRefused:
    """That a checkpoint cannot be begun with."""
    return TrainingRefused(f"The checkpoint to begin with {why}.")
