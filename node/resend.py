"""`python -m node resend`: uploads the files of trainings that could not be stored; then their jobs succeed after all.

Needs no broker, and works beside the node as well as without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO
from uuid import UUID

from wire.names import attempt_of

from .central import Away, Central, Refused
from .config import Config
from .handed import MB, send, settle, size_of
from .lease import Stop
from .parcel import Parcel
from .patience import Patience
from .workspace import Workspace, all_in

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.5
VERIFY_SECONDS = 600.0


class NotSent(Exception):
    """The text says why, in a sentence."""


def run(out: TextIO, run_ids: list[str], only_list: bool, environment: Mapping[str, str] = os.environ) -> int:
    """Sends what is kept of these runs, or of all; 0 when all of it was sent."""
    values, wrong = Config.read(environment, *([] if only_list else ["node_token"]))
    for line in wrong:
        print(f"Setting {line}. env.sample says what each setting means.", file=out)
    if wrong:
        return 1
    config = Config(**values)
    chosen, missing = _choose(config, run_ids)
    for run_id in missing:
        print(f"Of run {run_id} nothing is kept on this node.", file=out)
    if not chosen and not missing:
        print("Nothing is kept on this node: everything was stored.", file=out)
    if only_list:
        for workspace in chosen:
            print(described(workspace), file=out)
        return 1 if missing else 0
    central = Central.of(config)
    patience = min(PATIENCE_SECONDS, config.upload_patience_seconds)
    sent = [_sent(out, central, workspace, patience) for workspace in chosen]
    return 0 if all(sent) and not missing else 1


def _choose(config: Config, run_ids: list[str]) -> tuple[list[Workspace], list[str]]:
    """What is meant, and the runs of which there is nothing."""
    kept = [its for its in all_in(config.kept_dir) if Parcel(its.folder).achieved()]
    of_run = {its: str(attempt_of(its.folder.name)[0]) for its in kept}
    chosen = [its for its in kept if not run_ids or of_run[its] in run_ids]
    return chosen, [run_id for run_id in run_ids if run_id not in of_run.values()]


def described(workspace: Workspace) -> str:
    """One line."""
    run_id, attempt = attempt_of(workspace.folder.name)
    at = datetime.fromtimestamp(workspace.folder.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    achieved = Parcel(workspace.folder).achieved()
    files = achieved.artifacts if achieved else ()
    return f"{run_id}  attempt {attempt}  {at}  {len(files)} files, {size_of(workspace.folder) / MB:.1f} MB"


def _sent(out: TextIO, central: Central, workspace: Workspace, patience: float) -> bool:
    run_id, _ = attempt_of(workspace.folder.name)
    if not workspace.open():
        print(f"{run_id}: another process is sending it just now.", file=out)
        return False
    progress = Progress(out, run_id, size_of(workspace.folder))
    try:
        _send(central, workspace, Patience(Stop(), patience), progress)
    except (Away, Refused, NotSent) as error:
        progress.end(f"not sent: {str(error).rstrip('.')}. Its files stay here.")
        return False
    finally:
        workspace.close()
    workspace.remove()
    progress.end("sent and verified.")
    return True


def _send(central: Central, workspace: Workspace, patience: Patience, progress: Progress) -> None:
    """Returns once everything is verified. Raises Away, Refused or NotSent."""
    run_id, attempt = attempt_of(workspace.folder.name)
    achieved = Parcel(workspace.folder).achieved()
    answer = str(central.handed_in(str(run_id), attempt).get("answer"))
    if answer == "keep":
        send(central, workspace, [it.name for it in achieved.artifacts] if achieved else [], patience, progress.of)
        central.again(str(run_id), attempt)
        progress.say("sent; the coordinator verifies it")
        answer = "wait"
    until = time.monotonic() + VERIFY_SECONDS
    while answer in ("wait", "resend"):
        if time.monotonic() > until:
            raise NotSent("The coordinator has not verified it yet; try again later")
        time.sleep(LOOK_SECONDS)
        answer = settle(central, workspace, patience, progress.of)
    if answer == "unknown":
        raise NotSent("The coordinator knows no such run (any more); remove its folder by hand")
    if answer == "keep":
        raise NotSent("The coordinator could not verify what was sent")


@dataclass
class Progress:
    """A bar on a terminal, a plain line for each file in a pipe."""

    out: TextIO
    run_id: UUID
    size: int
    moved: int = 0

    def of(self, name: str) -> Moving:
        """Hears of the bytes of that file."""
        if not self.out.isatty():
            self.say(f"sending {name}")
        return Moving(self, name)

    def say(self, what: str) -> None:
        if self.out.isatty():
            print(f"\r{self.run_id}: {what}\033[K", end="", file=self.out, flush=True)
        else:
            print(f"{self.run_id}: {what}", file=self.out, flush=True)

    def end(self, what: str) -> None:
        self.say(what)
        if self.out.isatty():
            print(file=self.out, flush=True)


@dataclass
class Moving:
    """The bytes of one file; those of a try that was broken off count again."""

    progress: Progress
    name: str

    def __call__(self, size: int) -> None:
        its = self.progress
        its.moved = min(its.moved + size, its.size)
        if its.out.isatty():
            done = its.moved * 24 // max(its.size, 1)
            bar = "█" * done + "░" * (24 - done)
            its.say(f"{bar} {its.moved / MB:.1f} of {its.size / MB:.1f} MB  {self.name}")
