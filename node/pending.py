"""What a running attempt has ready for its upload, as files on disk: a node that was killed finds them again."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

from wire.codec import NotAMessage, decode

from .parcel import second_name

log = logging.getLogger(__name__)
LAST_PIECE_SECONDS = 3.0
"""How long the bridge may take to finish the last piece of a recording after the environment has gone."""
OPEN = ("open-*", "*.index")
"""What the bridge has in the folder while a connection is open, or a piece."""
_STEP = re.compile(r"checkpoint-(\d{1,15})\.pt")


class Checkpoints:
    """Checkpoints that wait. Only the newest is worth an upload: a new one puts the others away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, path: Path, step: int) -> None:
        """A second name for the file, which the trainer writes once and later removes. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        second_name(path, self.path(step))
        self.forget(step - 1)

    def path(self, step: int) -> Path:
        return self._folder / f"checkpoint-{step}.pt"

    def newest(self) -> int | None:
        """Its step, or None when none waits."""
        return max(self._steps(), default=None)

    def forget(self, step: int | None) -> None:
        """Those up to that step."""
        for waiting in self._steps():
            if step is not None and waiting <= step:
                self.path(waiting).unlink(missing_ok=True)

    def _steps(self) -> list[int]:
        found = [_STEP.fullmatch(path.name) for path in self._folder.glob("checkpoint-*.pt")]
        return [int(its[1]) for its in found if its]


class Recordings:
    """Pieces of the recording that the bridge writes: `<piece>.json-seq`, and `<piece>.json` once it is finished."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def finished(self) -> list[Path]:
        """Oldest first."""
        pieces = [path.with_suffix(".json-seq") for path in self._folder.glob("*.json")]
        return sorted((path for path in pieces if path.is_file()), key=lambda path: path.stat().st_mtime)

    def manifest(self, piece: Path) -> dict[str, Any]:
        """Which episodes are in it; of one that can't be read, none."""
        try:
            return decode(piece.with_suffix(".json").read_bytes())
        except NotAMessage as error:
            log.warning("What is in %s can't be read: %s", piece.name, error)
            return {}

    def forget(self, piece: Path) -> None:
        piece.with_suffix(".json").unlink(missing_ok=True)
        piece.unlink(missing_ok=True)

    def wait_for_the_last(self) -> None:
        """Until the bridge has noticed that the environments are gone, and has finished their pieces; a few seconds."""
        deadline = time.monotonic() + LAST_PIECE_SECONDS
        while self._open() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _open(self) -> bool:
        return any(True for pattern in OPEN for _ in self._folder.glob(pattern))
