"""One training from its order to its ending: starts the trainer, relays its facts, obeys a stop, leaves no process."""

from __future__ import annotations

import threading
from pathlib import Path

from node.guards import Guards, Limits
from node.process import Process
from node.trainers.base import Ending, Machine, TrainingOrder, TrainingRefused, load_trainer
from node.verdict import Judge
from node.watch import Flag, OnCheckpoint, OnFact, Watch

NO_LIMITS = Limits()
START_S = 120.0  # for imports and the first step, beside the time that the environment may take to connect


def train(
    order: TrainingOrder,
    workspace: Path,
    on_fact: OnFact,
    stop: Flag,
    machine: Machine,
    *,
    trainer: str = "mlagents",
    grace_s: float = 30.0,
    on_checkpoint: OnCheckpoint | None = None,
    pidfiles: Path | None = None,
    mark: str = "",
    limits: Limits = NO_LIMITS,
    abandon: Flag | None = None,
) -> Ending:
    """Train to the end, in a workspace of this attempt's own (created if missing). Its processes carry `mark`.

    `on_fact` gets phases and metrics in this thread; `on_checkpoint` gets (checkpoint file, step) for each periodic
    checkpoint, complete and unchanging until five more have come. `stop` is looked at several times a second:
    the trainer saves and ends; and so is `abandon`: it is ended at once, and nothing of it is handed in.
    `pidfiles` is the folder of `<run_id>.<attempt>.pid`, for `node.shim.kill_leftover` (default: the workspace's
    parent). A training that exceeds one of `limits` is ended at once. Never raises for a training that fails; what
    `on_fact` raises comes through, after all processes are gone.
    """
    workspace = workspace.resolve()
    pidfile = (pidfiles or workspace.parent) / f"{order.run_id}.{order.attempt}.pid"
    try:
        kind = load_trainer(trainer)
        command = kind.prepare(order, workspace, machine)
        pidfile.parent.mkdir(parents=True, exist_ok=True)
        process = Process(command, workspace / "trainer.log", pidfile, order.run_id, order.attempt, mark)
    except TrainingRefused as refused:
        return Ending("failed", str(refused), refused.cause)
    except OSError as error:
        return Ending("failed", f"The training node could not start the trainer: {error}.", "node")
    with process:
        guards = Guards(limits, workspace, process.pids)
        start_s = START_S + machine.connect_timeout_s
        watch = Watch(
            order, process, on_fact, on_checkpoint, stop, abandon or threading.Event(), grace_s, start_s, guards
        )
        watch.follow()
    pidfile.unlink(missing_ok=True)  # the guard does that, unless it was killed
    return Judge(order, workspace, kind, command, watch).ending()
