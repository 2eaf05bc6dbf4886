"""A folder per attempt: what the trainer writes, the facts still to be sent, the outcome still to be handed in."""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wire.codec import decode, encode
from wire.names import attempt_of

from .parcel import PARCEL, Parcel


class Workspace:
    """The folder of one attempt, locked by the process that works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.training = folder / "training"
        self.facts = folder / "facts.jsonl"
        self._outcome = folder / "outcome.json"
        self._lock: Any = None

    def open(self) -> bool:
        """Creates and locks the folder; False where another process works in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            return False
        return True

    def remove(self) -> None:
        """Everything has been handed in."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def put_away(self, outcome: dict[str, Any], handed: Path, kept: Path) -> None:
        """The outcome is with the broker: files that may be needed again go to one of these folders, the rest goes."""
        place = kept if outcome.get("cause") == "storage" else handed if outcome.get("kept") else None
        if place is None or not Parcel(self.folder).files.is_dir():
            self.remove()
            return
        for path in self.folder.iterdir():
            if path.name not in PARCEL:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.move(place)

    def move(self, place: Path) -> None:
        """The whole folder, into another one of the same disk."""
        place.mkdir(parents=True, exist_ok=True)
        target = place / self.folder.name
        shutil.rmtree(target, ignore_errors=True)
        self.folder.replace(target)
        self.folder = target
        self.close()

    def close(self) -> None:
        """Others may work in it. A process that was forked meanwhile has the file open, too, and shares the lock."""
        if self._lock and not self._lock.closed:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()

    def keep_outcome(self, outcome: dict[str, Any]) -> None:
        """Should this process die before the broker has it, the node's next start hands it in."""
        draft = self._outcome.with_suffix(".part")
        draft.write_text(encode(outcome), encoding="utf-8")
        draft.replace(self._outcome)

    def kept_outcome(self) -> dict[str, Any] | None:
        return decode(self._outcome.read_text(encoding="utf-8")) if self._outcome.exists() else None


def workspace_of(attempts: Path, task: str) -> Workspace:
    """The workspace of a task, by its id."""
    attempt_of(task)  # the id becomes a folder's name: nothing but our own form
    return Workspace(attempts / task)


def all_in(attempts: Path) -> Iterator[Workspace]:
    """The workspaces that an earlier life of this node has left."""
    for folder in sorted(attempts.glob("*.*")):
        try:
            yield workspace_of(attempts, folder.name)
        except ValueError:
            continue  # something else that lies about
