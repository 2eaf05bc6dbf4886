"""What was handed in stays until the coordinator has verified it: a thread of the node's main process looks after it.

What the coordinator misses of it is uploaded again; what it has given up is kept until somebody sends it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from wire.names import attempt_of

from .central import Away, Central, Refused
from .config import Config
from .hand_over import Moved, upload
from .lease import Stop
from .parcel import Parcel
from .patience import Patience
from .workspace import Workspace, all_in

log = logging.getLogger(__name__)
LOOK_SECONDS, AWAY_SECONDS = 2.0, 5.0
PATIENCE_SECONDS = 60.0
MB = 1024 * 1024


class Handed:
    """Of one node. Begins with what an earlier life of it has left."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._central = Central.of(config)

    def run(self) -> None:
        """Looks for ever."""
        pause = threading.Event()
        while True:
            seconds = LOOK_SECONDS
            try:
                self.look()
            except Away as error:
                log.warning("What was handed in waits: %s", error)
                seconds = AWAY_SECONDS
            except Exception:
                log.exception("What was handed in can't be looked after.")
                seconds = AWAY_SECONDS
            pause.wait(seconds)

    def look(self) -> None:
        """Once at everything. Raises Away."""
        make_room(self._config)
        for workspace in all_in(self._config.handed_dir):
            if not workspace.open():
                continue
            try:
                answer = settle(self._central, workspace, Patience(Stop(), PATIENCE_SECONDS))
                if answer in ("stored", "unknown"):
                    workspace.remove()
                elif answer == "keep":
                    log.error("The files of %s could not be stored; they are kept.", workspace.folder.name)
                    workspace.move(self._config.kept_dir)
            except Refused as refusal:
                log.warning("Nobody wants the files of %s: %s", workspace.folder.name, refusal)
                workspace.remove()
            finally:
                workspace.close()


def settle(
    central: Central, workspace: Workspace, patience: Patience, moved: Callable[[str], Moved] | None = None
) -> str:
    """Asks what is to become of the files, one of wire.uploads.ANSWERS, and uploads those that are wanted again.

    `moved` gives for a file's name whoever hears of its bytes. Raises Away or Refused.
    """
    run_id, attempt = attempt_of(workspace.folder.name)
    said = central.handed_in(str(run_id), attempt)
    answer = str(said.get("answer"))
    if answer == "resend":
        send(central, workspace, said.get("names") or [], patience, moved)
        central.again(str(run_id), attempt)
    return answer


def send(
    central: Central, workspace: Workspace, names: list[str], patience: Patience,
    moved: Callable[[str], Moved] | None = None,
) -> None:  # fmt: skip
    """Uploads these files of the parcel. Raises Away or Refused; one that is not there (any more) is passed over."""
    parcel = Parcel(workspace.folder)
    achieved = parcel.achieved()
    known = {it.name for it in achieved.artifacts} if achieved else set()
    for name in names:
        try:
            if achieved and name in known:
                upload(central, parcel, achieved, name, patience, moved(name) if moved else lambda size: None)
        except OSError as error:
            log.error("%s of %s can't be sent again: %s", name, workspace.folder.name, error)


def make_room(config: Config) -> None:
    """Removes the oldest beyond NODE_KEPT_MAX_MB: first of what was handed in, then of what is kept for a person."""
    left = [*_oldest_first(config.handed_dir), *_oldest_first(config.kept_dir)]
    sizes = {workspace.folder: size_of(workspace.folder) for workspace in left}
    for workspace in left:
        if sum(sizes.values()) <= config.node_kept_max_mb * MB:
            return
        if workspace.open():
            log.error("The files of %s are removed: there is room for %s MB (NODE_KEPT_MAX_MB).",
                      workspace.folder.name, config.node_kept_max_mb)  # fmt: skip
            sizes.pop(workspace.folder)
            workspace.remove()


def size_of(folder: Path) -> int:
    """Bytes of a parcel's files."""
    return sum(path.stat().st_size for path in Parcel(folder).files.glob("*"))


def _oldest_first(folder: Path) -> list[Workspace]:
    return sorted(all_in(folder), key=lambda its: its.folder.stat().st_mtime)
