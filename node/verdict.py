"""Says how a training ended, from what it left and what it said; its exit code alone proves nothing."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node import bundle
from node.process import Process
from node.trainers.base import Artifact, Command, Ending, Evidence, Trainer, TrainingOrder, TrainingRefused
from node.turns import turn
from node.watch import Watch

CHECK_S = 120.0  # for the model check
STOPPED_CHECK_S = 2.0  # of a training that was stopped, beside what is left of its grace
CRASHED = "the check of it crashed"
POLL_S = 0.2
TAIL_BYTES = 6_000  # of the trainer's log, and a third of it of the environment's


@dataclass
class Judge:
    """Says how a training ended, from what it left; the exit code alone proves nothing."""

    order: TrainingOrder
    workspace: Path
    trainer: Trainer
    command: Command
    watch: Watch

    def ending(self) -> Ending:
        if self.watch.abandoned:
            return Ending("stopped", step=self.watch.step)
        files = self.trainer.collect(self.order, self.workspace)
        self.kept = tuple(artifact for artifact in files if artifact.kind != "model") + self._checkpoint() + self._log()
        self.kept += (bundle.write(self.order, self.workspace, self.command, self.watch.words),)
        self.models = [artifact.path for artifact in files if artifact.kind == "model"]
        ending = replace(self._verdict(), step=self.watch.step, mean_reward=self.watch.mean_reward)
        return replace(ending, log_tail=self._log_tail())

    def _verdict(self) -> Ending:
        if self.watch.stopped and "finished" not in self.watch.words:
            return Ending("stopped", artifacts=self.kept + self._model_so_far())
        try:
            self._complain()
            return Ending("succeeded", artifacts=(*self.kept, self._checked()))
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
        if self.watch.refused:
            return self.watch.refused
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

    def _log(self) -> tuple[Artifact, ...]:
        path = self.workspace / "trainer.log"
        return (Artifact("log", path),) if path.is_file() else ()

    def _model_so_far(self) -> tuple[Artifact, ...]:
        checkpoint = self.watch.words.get("checkpoint")
        periodic = [self.workspace / checkpoint["model"]] if checkpoint else []
        until = max(time.monotonic(), self.watch.save_until) + STOPPED_CHECK_S
        with turn("model-check", until, self.watch.abandon.is_set) as is_mine:
            if is_mine:  # otherwise many were stopped at once, and their slots are wanted: checkpoints say as much
                with contextlib.suppress(TrainingRefused):
                    return (self._usable(self.models + periodic, until),)
        return ()

    def _checked(self) -> Artifact:
        """The trained model, once it is known that it can be used. Raises TrainingRefused."""
        with turn("model-check", time.monotonic() + CHECK_S):
            return self._usable(self.models, time.monotonic() + CHECK_S)

    def _usable(self, paths: list[Path], until: float) -> Artifact:
        """The first of these models that can be used. Raises TrainingRefused."""
        why = "there is none"
        for path in paths:
            manifest = check_model(path, self.order, self.workspace, self.command, until)
            why = manifest.pop("error")
            if why is None:
                return Artifact("model", path, self._about() | manifest)
        raise TrainingRefused(f"The trained model cannot be used: {why}.", "node" if why == CRASHED else "user")

    def _about(self) -> dict[str, Any]:
        return {"behaviour": self.order.behaviour, "steps": self.watch.step, "mean_reward": self.watch.mean_reward}

    def _log_tail(self) -> str:
        player = [artifact.path for artifact in self.kept if artifact.kind == "environment_log"]
        tails = [_tail(self.workspace / "trainer.log", TAIL_BYTES), *(_tail(path, TAIL_BYTES // 3) for path in player)]
        return "\n---- the environment's own log ----\n".join(tail for tail in tails if tail)


def check_model(
    path: Path, order: TrainingOrder, workspace: Path, trainer: Command, until: float | None = None
) -> dict[str, Any]:
    """What node.model_check says about that file by `until` (monotonic); `error` is set when it cannot be used."""
    behaviour = order.environment.manifest["behaviours"][order.behaviour]
    expected = {key: behaviour.get(key) for key in ("observation_shapes", "actions")}
    argv = (trainer.argv[0], "-m", "node.model_check", str(path), json.dumps(expected))
    log = workspace / "model_check.log"
    log.unlink(missing_ok=True)
    check = Command(argv, trainer.environ, trainer.cwd)
    with Process(check, log, workspace / "model_check.pid", order.run_id, order.attempt) as process:
        deadline = time.monotonic() + CHECK_S if until is None else until
        while process.exit_code is None and time.monotonic() < deadline:
            process.facts(POLL_S)
    try:
        manifest = json.loads(log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2])
    except (OSError, ValueError):
        return {"error": CRASHED}
    return manifest if isinstance(manifest, dict) else {"error": CRASHED}


def _tail(path: Path, size: int) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", errors="replace").strip()
    return ""
