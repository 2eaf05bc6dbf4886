"""What an earlier life of this node has left behind: its processes are ended, its last words are sent.

Without this a node that was killed would keep ports and processors busy, and its jobs would wait for their leases.
"""

import logging
from dataclasses import replace
from typing import Any
from uuid import UUID

from celery import Celery

from wire.codec import NotAMessage
from wire.facts import Outcome
from wire.names import TASK_OUTCOME, TASK_UPLOADED, attempt_of
from wire.uploads import Upload

from .builds import cache_of
from .central import Central, Refused
from .config import Config
from .hand_over import hand_over, last_checkpoint, left_by_a_killed_node
from .lease import Stop
from .parcel import Parcel
from .patience import HURRIED_SECONDS, Patience
from .queues import until_taken
from .report import EventSender, Reporter, Spool
from .shim import kill_leftover
from .uploads import Uploads
from .workspace import Workspace, all_in

log = logging.getLogger(__name__)
RESTARTED = "The training node was restarted during the training."


def end_processes(config: Config) -> None:
    """Kills what still runs, all of it, whoever is away meanwhile."""
    cache_of(config).clear_leftovers()
    config.attempts_dir.mkdir(parents=True, exist_ok=True)
    for workspace in all_in(config.attempts_dir):
        if workspace.open():  # otherwise another process of this node is at work in it
            kill_leftover(config.attempts_dir / f"{workspace.folder.name}.pid")
            workspace.close()


def clear(celery: Celery, config: Config) -> None:
    """Hands in every attempt that was not handed in, and whose processes have been ended. Waits for a broker that is
    away."""
    central = Central.of(config)
    for workspace in all_in(config.attempts_dir):
        if workspace.open():
            outcome = _hand_in(celery, central, config, workspace)
            workspace.put_away(outcome, config.handed_dir, config.kept_dir)


def _hand_in(celery: Celery, central: Central, config: Config, workspace: Workspace) -> dict[str, Any]:
    run_id, attempt = attempt_of(workspace.folder.name)
    sender = EventSender(celery, str(run_id), attempt)
    facts = Reporter(Spool(workspace.facts), sender).finish()
    sender.close()
    outcome = _kept(workspace)
    if outcome is None:
        said = _upload(celery, central, config.node_name, workspace, run_id, attempt)
        outcome = replace(said, facts_sent=facts).to_wire()
        _keep(workspace, outcome)
    until_taken(celery)
    celery.send_task(TASK_OUTCOME, args=[outcome])
    log.warning("Attempt %s of run %s was handed in after a restart.", attempt, run_id)
    return outcome


def _keep(workspace: Workspace, outcome: dict[str, Any]) -> None:
    """Should this process die before the broker has it, the next one need not upload again."""
    try:
        workspace.keep_outcome(outcome)
    except OSError as error:  # a full disk: the outcome goes out all the same
        log.error("The outcome cannot be kept on disk: %s", error)


def _kept(workspace: Workspace) -> dict[str, Any] | None:
    try:
        return workspace.kept_outcome()
    except NotAMessage as error:
        log.error("The outcome in %s can't be read: %s", workspace.folder.name, error)
        return None


def _upload(celery: Celery, central: Central, node: str, workspace: Workspace, run_id: UUID, attempt: int) -> Outcome:
    """What the killed node had achieved, with its files; else the newest checkpoint, the log and the recording, as far
    as it had not come to them."""

    def tell(upload: Upload) -> None:
        celery.send_task(TASK_UPLOADED, args=[upload.to_wire()], mandatory=True)

    stop, parcel = Stop(), Parcel(workspace.folder)
    stop.ask(Stop.SHUTDOWN)  # without much patience: the job is to go on, and others wait
    patience = Patience(stop, HURRIED_SECONDS)
    interrupted = Outcome(run_id, attempt, "interrupted", 0, RESTARTED)
    try:
        achieved = parcel.achieved() or parcel.pack(interrupted, left_by_a_killed_node(workspace.folder))
        outcome = hand_over(central, parcel, achieved, stop, patience, node)
        Uploads(central, str(run_id), attempt, workspace.folder, tell).finish(stop, last_checkpoint(achieved), patience)
        return outcome
    except (Refused, OSError) as error:  # not wanted any more, or a disk that is full
        log.warning("What attempt %s of run %s had not stored yet is lost: %s", attempt, run_id, error)
        return interrupted
