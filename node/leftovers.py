"""What an earlier life of this node has left behind: its processes are ended, its last words are sent.

Without this a node that was killed would keep ports and processors busy, and its jobs would wait for their leases.
"""

import logging
from typing import Any
from uuid import UUID

from celery import Celery

from wire.codec import NotAMessage
from wire.facts import Artifact, Outcome
from wire.names import TASK_OUTCOME, TASK_UPLOADED, attempt_of
from wire.uploads import Upload

from .builds import cache_of
from .central import Central
from .config import Config
from .lease import Stop
from .report import EventSender, Reporter, Spool
from .shim import kill_leftover
from .uploads import Uploads, hand_over_rest
from .workspace import Workspace, all_in

log = logging.getLogger(__name__)
RESTARTED = "The training node was restarted during the training."


def clear(celery: Celery, config: Config) -> None:
    """Kills what still runs, then hands in every attempt that was not handed in. Waits for a broker that is away."""
    cache_of(config).clear_leftovers()
    config.attempts_dir.mkdir(parents=True, exist_ok=True)
    central = Central(config.coordinator_url, config.node_token)
    for workspace in all_in(config.attempts_dir):
        if workspace.open():  # otherwise another process of this node is at work in it
            kill_leftover(config.attempts_dir / f"{workspace.folder.name}.pid")
            _hand_in(celery, central, workspace)
            workspace.remove()


def _hand_in(celery: Celery, central: Central, workspace: Workspace) -> None:
    run_id, attempt = attempt_of(workspace.folder.name)
    sender = EventSender(celery, str(run_id), attempt)
    facts = Reporter(Spool(workspace.facts), sender).finish()
    sender.close()
    outcome = _kept(workspace)
    if outcome is None:
        files = _upload(celery, central, workspace, run_id, attempt)
        outcome = Outcome(run_id, attempt, "interrupted", facts, RESTARTED, artifacts=files).to_wire()
    celery.send_task(TASK_OUTCOME, args=[outcome])
    log.warning("Attempt %s of run %s was handed in after a restart.", attempt, run_id)


def _kept(workspace: Workspace) -> dict[str, Any] | None:
    try:
        return workspace.kept_outcome()
    except NotAMessage as error:
        log.error("The outcome in %s can't be read: %s", workspace.folder.name, error)
        return None


def _upload(celery: Celery, central: Central, workspace: Workspace, run_id: UUID, attempt: int) -> tuple[Artifact, ...]:
    """The newest checkpoint, the log and the recording, as far as the killed node had not come to it."""

    def tell(upload: Upload) -> None:
        celery.send_task(TASK_UPLOADED, args=[upload.to_wire()])

    stop = Stop()
    stop.ask(Stop.SHUTDOWN)  # once, without patience: the node is to be there for the next job
    files = hand_over_rest(central, str(run_id), attempt, workspace.folder, stop)
    Uploads(central, str(run_id), attempt, workspace.folder, tell).finish(stop, None)
    return files
