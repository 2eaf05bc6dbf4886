"""The one training task: claim the attempt, run it, return the outcome as a value.

The task never raises for a training that failed: Celery's errbacks carry no error. Its message was acknowledged before
it began; the lease, not the broker, knows whether it lives.
"""

import logging
import threading
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from celery import Celery
from celery.signals import task_postrun

from wire import names
from wire.jobs import JobSpec
from wire.uploads import Upload

from .central import Away, Central, Refused
from .config import Config
from .drain import Drain
from .lease import Lease, Stop
from .queues import until_taken
from .report import EventSender, Reporter, Spool
from .run import run_attempt
from .workspace import Workspace, workspace_of

log = logging.getLogger(__name__)


class Handing:
    """What has to live until the outcome is with the broker: after the task has returned, in the same process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.lease: Lease | None = None
        self.workspace: Workspace | None = None
        self.outcome: dict[str, Any] = {}

    def done(self, **_: Any) -> None:
        """Celery has published the result callback: the attempt is handed in."""
        if self.lease:
            self.lease.release()
        if self.workspace:
            self.workspace.put_away(self.outcome, self._config.handed_dir, self._config.kept_dir)
        self.lease = self.workspace = None


def register(celery: Celery, config: Config, drain: Drain) -> None:
    """Adds the training task to the node's Celery app."""
    central = Central.of(config)
    handing = Handing(config)

    @celery.task(name=names.TASK_TRAIN, Strategy="node.intake:strategy", shared=False,
                 resultrepr_maxsize=200)  # logs and Flower need no log tails  # fmt: skip
    def run(run_id: str, attempt: int) -> dict[str, Any] | None:
        stop = Stop()
        drain.follow(stop, config.node_drain)
        claimed = _claim(central, str(UUID(run_id)), int(attempt), stop)
        return _train(celery, config, central, handing, stop, *claimed) if claimed else None

    task_postrun.connect(handing.done, weak=False)


def _claim(central: Central, run_id: str, attempt: int, stop: Stop) -> tuple[JobSpec, float] | None:
    """The spec and the lease, or None where the attempt is not to be had. Waits for a coordinator that is away, unless
    the node is to hand over: then the coordinator sends the task to another."""
    claim, pause = uuid4(), 0.5
    while True:
        try:
            return central.claim(run_id, attempt, claim)
        except Refused as refusal:
            log.info("Attempt %s of run %s is dropped: %s", attempt, run_id, refusal)
            return None
        except Away as error:
            if stop.is_set():
                log.warning("Attempt %s of run %s is left to another node: %s", attempt, run_id, error)
                return None
            log.warning("%s; trying again in %.0f s.", error, pause)
            threading.Event().wait(pause)
            pause = min(pause * 2, 10.0)


def _train(
    celery: Celery, config: Config, central: Central, handing: Handing, stop: Stop, spec: JobSpec, lease_seconds: float
) -> dict[str, Any]:
    workspace = workspace_of(config.attempts_dir, names.task_id(spec.run_id, spec.attempt))
    workspace.open()
    handing.workspace = workspace
    handing.lease = Lease(lambda: central.heartbeat(spec.run_id, spec.attempt), lease_seconds, stop)
    sender = EventSender(celery, spec.run_id, spec.attempt)
    reporter = Reporter(Spool(workspace.facts), sender)

    def tell(upload: Upload) -> None:
        celery.send_task(names.TASK_UPLOADED, args=[upload.to_wire()], mandatory=True)

    outcome = run_attempt(config, central, spec, workspace.training, stop, reporter.say, tell)
    kept = replace(outcome, facts_sent=reporter.finish(0)).to_wire()
    try:
        workspace.keep_outcome(kept)
    except OSError as error:  # a full disk: the outcome goes out all the same
        log.error("The outcome cannot be kept on disk: %s", error)
    reporter.finish()
    sender.close()
    until_taken(celery)
    handing.outcome = kept
    return kept
