"""A folder per attempt: what the trainer writes, the facts still to be sent, the outcome still to be handed in."""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wire.codec import decode, encode
from wire.names import attempt_of


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
        if self._lock:
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
