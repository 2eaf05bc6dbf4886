"""One training from its order to its ending: starts the trainer, relays its facts, obeys a stop, leaves no process."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from node.process import Process
from node.trainers.base import (
    Artifact,
    Command,
    Ending,
    Evidence,
    Machine,
    Trainer,
    TrainingOrder,
    TrainingRefused,
    load_trainer,
)

POLL_S = 0.2
START_S = 120.0  # for imports and the first step, beside the time that the environment may take to connect
HOPELESS_GRACE_S = 5.0  # to save, for a training that has failed already
CHECK_S = 120.0  # for the model check
TAIL_BYTES = 6_000  # of the trainer's log, and a third of it of the environment's

OnFact = Callable[[dict[str, Any]], None]
OnCheckpoint = Callable[[Path, int], None]


class Stop(Protocol):
    """What is asked of the stop flag; a threading.Event will do."""

    def is_set(self) -> bool: ...


def train(
    order: TrainingOrder,
    workspace: Path,
    on_fact: OnFact,
    stop: Stop,
    machine: Machine,
    *,
    trainer: str = "mlagents",
    grace_s: float = 30.0,
    on_checkpoint: OnCheckpoint | None = None,
    pidfiles: Path | None = None,
) -> Ending:
    """Train to the end, in a workspace of this attempt's own (created if missing).

    `on_fact` gets phases and metrics in this thread; `on_checkpoint` gets (checkpoint file, step) for each periodic
    checkpoint, complete and unchanging until five more have come. `stop` is looked at several times a second.
    `pidfiles` is the folder for `node.shim.kill_leftovers` (default: the workspace's parent). Never raises for a training
    that fails; whatever `on_fact` raises comes through, after all processes are gone.
    """
    workspace = workspace.resolve()
    pidfile = (pidfiles or workspace.parent) / f"{workspace.name}.pid"
    try:
        kind = load_trainer(trainer)
        command = kind.prepare(order, workspace, machine)
        pidfile.parent.mkdir(parents=True, exist_ok=True)
        process = Process(command, workspace / "trainer.log", pidfile, order.run_id, order.attempt)
    except TrainingRefused as refused:
        return Ending("failed", str(refused), refused.cause)
    except OSError as error:
        return Ending("failed", f"The training node could not start the trainer: {error}.", "node")
    with process:
        watch = _Watch(order, process, on_fact, on_checkpoint, stop, grace_s, START_S + machine.connect_timeout_s)
        watch.follow()
    return _Judge(order, workspace, kind, command, watch).ending()


@dataclass
class _Watch:
    """Follows a running trainer to its end, and knows afterwards what it said."""

    order: TrainingOrder
    process: Process
    on_fact: OnFact
    on_checkpoint: OnCheckpoint | None
    stop: Stop
    grace_s: float
    start_s: float
    words: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # the last fact of each kind, without metrics
    step: int = 0
    mean_reward: float | None = None
    running: bool = False
    stopped: bool = False  # because `stop` was set
    late: bool = False  # because it never got to its first step

    def follow(self) -> None:
        self.began = time.monotonic()
        self.kill_at = float("inf")
        self.on_fact({"kind": "phase", "phase": "STARTING"})
        while self.process.exit_code is None or not self.process.drained:
            for fact in self.process.facts(POLL_S):
                self._take(fact)
            self._look()
        self.exit_code = self.process.exit_code

    def _take(self, fact: dict[str, Any]) -> None:
        handlers = {"metrics": self._metrics, "connected": self._connected, "checkpoint": self._checkpoint}
        if fact["kind"] == "broken":
            self._give_up()
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
            self.stopped = True
            self._interrupt(self.grace_s)
        if not self.running and not self.late and now > self.began + self.start_s:
            self.late = True
            self._give_up()
        if now > self.kill_at:
            self.process.end()

    def _give_up(self) -> None:
        self._interrupt(HOPELESS_GRACE_S)

    def _interrupt(self, grace_s: float) -> None:
        self.process.interrupt()
        self.kill_at = min(self.kill_at, time.monotonic() + grace_s)


@dataclass
class _Judge:
    """Says how a training ended, from what it left; the exit code alone proves nothing."""

    order: TrainingOrder
    workspace: Path
    trainer: Trainer
    command: Command
    watch: _Watch

    def ending(self) -> Ending:
        files = self.trainer.collect(self.order, self.workspace)
        self.kept = tuple(artifact for artifact in files if artifact.kind != "model") + self._checkpoint()
        self.models = [artifact.path for artifact in files if artifact.kind == "model"]
        ending = replace(self._verdict(), step=self.watch.step, mean_reward=self.watch.mean_reward)
        return replace(ending, log_tail=self._log_tail())

    def _verdict(self) -> Ending:
        if self.watch.stopped and "finished" not in self.watch.words:
            return Ending("stopped", artifacts=self.kept + self._model_so_far())
        try:
            self._complain()
            return Ending("succeeded", artifacts=(*self.kept, self._checked(self.models)))
        except TrainingRefused as refused:
            return Ending("failed", str(refused), refused.cause, artifacts=self.kept)

    def _complain(self) -> None:
        """Raises TrainingRefused unless the training came to its end."""
        if self.watch.step >= self.order.max_steps and self.models:
            return  # what went wrong after the model was written does no harm
        raise self._reason() or TrainingRefused(
            f"The environment ended the training after {self.watch.step} of {self.order.max_steps} steps."
        )

    def _reason(self) -> TrainingRefused | None:
        words = self.watch.words
        if self.watch.late and not {"error", "broken"} & set(words):
            return TrainingRefused("The environment started, but for minutes none of its agents wanted a decision.")
        facts = tuple(words.values())
        refused = self.trainer.explain(self.order, Evidence(self.watch.exit_code or 0, facts))
        if refused is None and "interrupted" in words:
            return TrainingRefused("The training was interrupted from outside.", "node")
        return refused

    def _checkpoint(self) -> tuple[Artifact, ...]:
        """The last complete one: checkpoint.pt itself may have been cut off in the middle of being written."""
        fact = self.watch.words.get("checkpoint")
        if fact is None or not (path := self.workspace / fact["path"]).is_file():
            return ()
        return (Artifact("checkpoint", path, {"step": fact["step"]}),)

    def _model_so_far(self) -> tuple[Artifact, ...]:
        checkpoint = self.watch.words.get("checkpoint")
        periodic = [self.workspace / checkpoint["model"]] if checkpoint else []
        with contextlib.suppress(TrainingRefused):
            return (self._checked(self.models + periodic),)
        return ()

    def _checked(self, paths: list[Path]) -> Artifact:
        """The first of these models that can be used. Raises TrainingRefused."""
        why = "there is none"
        for path in paths:
            manifest = check_model(path, self.order, self.workspace, self.command)
            if manifest["error"] is None:
                return Artifact("model", path, {key: manifest[key] for key in manifest if key != "error"})
            why = manifest["error"]
        raise TrainingRefused(f"The trained model cannot be used: {why}.")

    def _log_tail(self) -> str:
        player = [artifact.path for artifact in self.kept if artifact.kind == "environment_log"]
        tails = [_tail(self.workspace / "trainer.log", TAIL_BYTES), *(_tail(path, TAIL_BYTES // 3) for path in player)]
        return "\n---- the environment's own log ----\n".join(tail for tail in tails if tail)


def check_model(path: Path, order: TrainingOrder, workspace: Path, trainer: Command) -> dict[str, Any]:
    """What node.model_check says about that file; `error` is set when it cannot be used."""
    behaviour = order.environment.manifest["behaviours"][order.behaviour]
    expected = {key: behaviour.get(key) for key in ("observation_shapes", "actions")}
    argv = (trainer.argv[0], "-m", "node.model_check", str(path), json.dumps(expected))
    log = workspace / "model_check.log"
    log.unlink(missing_ok=True)
    check = Command(argv, trainer.environ, trainer.cwd)
    with Process(check, log, workspace / "model_check.pid", order.run_id, order.attempt) as process:
        deadline = time.monotonic() + CHECK_S
        while process.exit_code is None and time.monotonic() < deadline:
            process.facts(POLL_S)
    try:
        manifest = json.loads(log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2])
    except (OSError, ValueError):
        return {"error": "the check of it crashed"}
    return manifest if isinstance(manifest, dict) else {"error": "the check of it crashed"}


def _tail(path: Path, size: int) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", errors="replace").strip()
    return ""
