"""The running attempts of this node, as the bridge finds them: a file `bridge.json` in each one's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire.codec import NotAMessage, decode, encode
from wire.jobs import JobSpec

from .words import train_job

FILE = "bridge.json"
RECORDING = "recording"
EVERY, MAX_MB = 1, 50
"""Of a job that says nothing of its recording."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that runs here; its processes carry the mark."""

    folder: Path
    mark: str
    run_id: str
    attempt: int
    train_job: dict[str, Any]
    every: int
    """Of so many episodes one is recorded; 0: none."""
    max_bytes: int
    """Of the recording, in this attempt."""
    is_check: bool = False
    """The build is only tried: what it says is for nobody."""

    @property
    def recording(self) -> Path:
        """Folder of its pieces."""
        return self.folder / RECORDING


def announce(folder: Path, spec: JobSpec, mark: str, coordinator_url: str, *, is_check: bool = False) -> None:
    """Lets the bridge know the attempt, before the first process with this mark starts."""
    content = {"mark": mark, "is_check": is_check, "run_id": spec.run_id, "attempt": spec.attempt,
               "train_job": train_job(spec, coordinator_url), "recording": spec.recording}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{FILE}.part"
    draft.write_text(encode(content), encoding="utf-8")
    draft.replace(folder / FILE)


def find(attempts: Path, mark: str) -> Attempt | None:
    """The attempt with that mark, if it is one of this node's."""
    for file in attempts.glob(f"*/{FILE}"):
        try:
            its = decode(file.read_bytes())
        except (OSError, NotAMessage):
            continue  # it has just ended
        if its.get("mark") == mark:
            return _attempt(file.parent, its)
    return None


def _attempt(folder: Path, its: dict[str, Any]) -> Attempt:
    policy = its["recording"]
    return Attempt(
        folder, its["mark"], its["run_id"], its["attempt"], its["train_job"], policy.get("every", EVERY),
        policy.get("max_mb", MAX_MB) * 2**20, bool(its.get("is_check")),
    )  # fmt: skip
