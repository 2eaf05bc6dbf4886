"""The end of an attempt: its files go to S3, and the outcome says what was stored; or that it could not be stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wire.facts import MAX_ERROR_CHARACTERS, Artifact, Outcome

from .central import Away, Central, Refused
from .lease import Stop
from .parcel import NEEDED, Parcel
from .patience import Patience, insist
from .pending import Checkpoints
from .trainers.base import Artifact as Found

log = logging.getLogger(__name__)
WORTHLESS_WITHOUT = {"succeeded": NEEDED, "stopped": NEEDED}
"""Kinds of files without which an outcome is not what it says."""

Moved = Callable[[int], None]
"""Hears of the bytes that are on their way."""


class NotStored(Exception):
    """A file that the outcome needs could not be stored for now; the text says why."""


def hand_over(
    central: Central, parcel: Parcel, achieved: Outcome, stop: Stop, patience: Patience, node: str
) -> Outcome:
    """Uploads what is in the parcel, and returns the outcome that is to be handed in. Raises Refused.

    `kept` in it says that the files stay on this node, of that name, until the coordinator has verified them.
    """
    try:
        uploaded = _upload_all(central, parcel, achieved, patience)
    except NotStored as error:
        if stop.reason == Stop.FENCED:  # nobody wants its files
            return replace(achieved, artifacts=())
        return _not_stored(achieved, stop, patience, node, error)
    is_kept = bool(WORTHLESS_WITHOUT.get(achieved.status)) and any(it.kind in NEEDED for it in uploaded)
    return replace(achieved, artifacts=uploaded, kept=is_kept)


def upload(
    central: Central, parcel: Parcel, achieved: Outcome, name: str, patience: Patience, moved: Moved = lambda size: None
) -> None:
    """One file of the parcel into staging. Raises Away when patience is over, Refused, OSError."""
    run_id, attempt, path = str(achieved.run_id), achieved.attempt, parcel.path(name)

    def once() -> None:
        central.upload(run_id, attempt, name, path, patience.terms(moved))

    insist(once, patience)


def _upload_all(central: Central, parcel: Parcel, achieved: Outcome, patience: Patience) -> tuple[Artifact, ...]:
    """Those that were uploaded; of files that the outcome does not need, none any more once patience is over."""
    uploaded: list[Artifact] = []
    for it in achieved.artifacts:
        is_needed = it.kind in WORTHLESS_WITHOUT.get(achieved.status, ())
        if patience.is_over() and not is_needed:
            log.warning("%s is not handed in: there was no more time.", it.name)
            continue
        try:
            upload(central, parcel, achieved, it.name, patience)
            uploaded.append(it)
        except (Away, OSError) as error:
            if is_needed:
                raise NotStored(str(error)) from error
            log.warning("%s is not handed in: %s", it.name, error)
        except Refused as error:
            if it.kind in NEEDED:
                raise
            log.warning("%s is not handed in: %s", it.name, error)
    return tuple(uploaded)


def _not_stored(achieved: Outcome, stop: Stop, patience: Patience, node: str, error: NotStored) -> Outcome:
    what = "its model" if any(it.kind == "model" for it in achieved.artifacts) else "its checkpoint"
    began = "The training finished, but" if achieved.status == "succeeded" else "The training was ended, but"
    sentence = (f"{began} {what} could not be stored within {patience.seconds:.0f} s: {str(error).rstrip('.')}. "
                f"Its files are kept on node {node}.")  # fmt: skip
    log.error("Attempt %s of run %s: %s", achieved.attempt, achieved.run_id, sentence)
    status = "stopped" if stop.reason == Stop.CANCELLED else "failed"
    sentence = sentence[:MAX_ERROR_CHARACTERS]
    return replace(achieved, status=status, error=sentence, cause="storage", achieved=achieved.status)


def last_checkpoint(achieved: Outcome) -> int | None:
    """The step of the checkpoint that is in the outcome: those before it are not worth an upload any more."""
    return max((it.step or 0 for it in achieved.artifacts if it.kind == "checkpoint"), default=None)


def left_by_a_killed_node(folder: Path) -> tuple[Found, ...]:
    """What it had not handed in of an attempt: the newest checkpoint that waits, and the trainer's log."""
    checkpoints, log_file = Checkpoints(folder / "uploads"), folder / "training" / "trainer.log"
    found = [Found("log", log_file)] if log_file.is_file() else []
    if (step := checkpoints.newest()) is not None:
        found.append(Found("checkpoint", checkpoints.path(step), {"step": step}))
    return tuple(found)
