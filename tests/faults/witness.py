"""Keeps what trainers write: a second name for each model file, before the node has handed it in and removed it."""

import contextlib
import glob
import os
import threading
from hashlib import sha256
from pathlib import Path

LOOK_SECONDS = 0.02


def found(folder: Path, pattern: str) -> list[Path]:
    """What is there of it. Unlike Path.glob this does not mind folders that go away at the same moment."""
    return [folder / name for name in glob.glob(pattern, root_dir=folder)]


class Witness(threading.Thread):
    """Looks into the nodes' folders all the time. Second names, since a file may not be complete when it is seen."""

    def __init__(self, folder: Path, kept: Path) -> None:
        super().__init__(daemon=True)
        self._folder, self._kept = folder, kept
        self._is_over = threading.Event()
        kept.mkdir(parents=True)

    def run(self) -> None:
        while not self._is_over.wait(LOOK_SECONDS):
            for path in found(self._folder, "node-*/attempts/*/training/results/*/*.onnx"):
                with contextlib.suppress(OSError):  # it has just gone, or has its second name
                    os.link(path, self._kept / f"{path.parent.name}.{path.stat().st_ino}")

    def leave(self) -> None:
        self._is_over.set()
        self.join()

    def models(self, run_id: str) -> set[str]:
        """The SHA-256 of every model that was written for that run."""
        return {sha256(path.read_bytes()).hexdigest() for path in self._kept.glob(f"{run_id}.*")}
