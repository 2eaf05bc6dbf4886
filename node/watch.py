"""Follows a running trainer to its end: relays its facts, obeys a stop, gives up on what cannot succeed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from node.guards import Guards
from node.process import Process
from node.progress import Progress
from node.trainers.base import TrainingOrder, TrainingRefused

POLL_S = 0.2
HOPELESS_GRACE_S = 5.0  # to save, for a training that has failed already
LAST_WORDS_S = 2.0  # to end by itself, for a trainer that has told its error

OnFact = Callable[[dict[str, Any]], None]
OnCheckpoint = Callable[[Path, int], None]


class Flag(Protocol):
    """What is asked of a flag that somebody else sets; a threading.Event will do."""

    def is_set(self) -> bool: ...


@dataclass
class Watch:
    """Follows a running trainer to its end, and knows afterwards what it said."""

    order: TrainingOrder
    process: Process
    on_fact: OnFact
    on_checkpoint: OnCheckpoint | None
    stop: Flag
    abandon: Flag  # nobody wants any more what it would save
    grace_s: float
    start_s: float
    guards: Guards
    words: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # the last fact of each kind, without metrics
    step: int = 0
    mean_reward: float | None = None
    running: bool = False
    stopped: bool = False  # because `stop` was set
    save_until: float = 0.0  # what it has to save is to be done by then, once it was stopped
    abandoned: bool = False  # because `abandon` was set
    late: bool = False  # because it never got to its first step
    refused: TrainingRefused | None = None  # because it exceeded a limit, or stood still

    def follow(self) -> None:
        self.began = self.guarded = time.monotonic()
        self.progress = Progress(self.guards.limits.idle_s, self.guards.limits.stall_s)
        self.kill_at = float("inf")
        self.on_fact({"kind": "phase", "phase": "STARTING"})
        while self.process.exit_code is None or not self.process.drained:
            for fact in self.process.facts(POLL_S):
                self._take(fact)
            self._look()
        self.exit_code = self.process.exit_code

    def _take(self, fact: dict[str, Any]) -> None:
        if fact["kind"] == "waiting":
            self.progress.waits()
            return
        self.progress.sign()
        handlers = {"metrics": self._metrics, "connected": self._connected, "checkpoint": self._checkpoint}
        if fact["kind"] == "broken":
            self._give_up()
        if fact["kind"] == "error":
            self.kill_at = min(self.kill_at, time.monotonic() + LAST_WORDS_S)
        if fact["kind"] in handlers:
            handlers[fact["kind"]](fact)
        else:
            self.words[fact["kind"]] = fact

    def _metrics(self, fact: dict[str, Any]) -> None:
        if fact["behaviour"].split("?")[0] == self.order.behaviour:
            self.step = max(self.step, fact["step"])
            if fact["mean_reward"] is not None:
                self.mean_reward = fact["mean_reward"]
        self.on_fact(fact)

    def _connected(self, fact: dict[str, Any]) -> None:
        """The environment has answered the reset and its agents ask for decisions: training runs."""
        self.words["connected"] = fact
        if self.order.behaviour not in fact["behaviours"]:
            self._give_up()
        elif not self.running:
            self.running = True
            self.on_fact({"kind": "phase", "phase": "RUNNING"})

    def _checkpoint(self, fact: dict[str, Any]) -> None:
        if fact["behaviour"] != self.order.behaviour:
            return
        self.words["checkpoint"] = fact
        self.step = max(self.step, fact["step"])
        if self.on_checkpoint and fact["step"] < self.order.max_steps:
            self.on_checkpoint(self.process.cwd / fact["path"], fact["step"])

    def _look(self) -> None:
        now = time.monotonic()
        if not self.stopped and self.stop.is_set():
            self.stopped, self.save_until = True, now + self.grace_s
            self._interrupt(self.grace_s)
        if not self.abandoned and self.abandon.is_set():
            self.abandoned, self.kill_at = True, now
        if not self.running and not self.late and now > self.began + self.start_s:
            self.late = True
            self._give_up()
        if self.refused is None and now >= self.guarded + POLL_S:
            self.guarded = now
            self.refused = self.guards.complain() or self._stands_still(now)
            self.kill_at = now if self.refused else self.kill_at
        if now >= self.kill_at or self.process.exit_code is not None:  # where the shim was killed, it has left others
            self.process.end()

    def _stands_still(self, now: float) -> TrainingRefused | None:
        """Once it runs, and until it is told to stop: then it has its grace."""
        if not self.running or self.stopped:
            return None
        sentence = self.progress.look(now, self.process.busy)
        return TrainingRefused(sentence, "stalled") if sentence else None

    def _give_up(self) -> None:
        self._interrupt(HOPELESS_GRACE_S)

    def _interrupt(self, grace_s: float) -> None:
        self.process.interrupt()
        self.kill_at = min(self.kill_at, time.monotonic() + grace_s)
