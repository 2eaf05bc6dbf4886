"""What an attempt yields, on its way to S3: by presigned links into staging, where the coordinator takes it over.

While it trains, the folder is the queue: what lies there is uploaded and told by a thread, whoever is away meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from wire.facts import Artifact
from wire.uploads import Upload

from .central import Away, Central, Refused, sha256_of
from .lease import Stop
from .patience import LONGEST_PAUSE_SECONDS, Patience, insist
from .pending import Checkpoints, Recordings
from .transfer import Terms

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""How often the thread looks for finished pieces of a recording; for a checkpoint it is woken."""
Tell = Callable[[Upload], None]
"""Tells the coordinator that a file of the running attempt is in staging."""


class Uploads:
    """The files of one running attempt. Never slows or breaks the training: only the thread here ever waits."""

    def __init__(self, central: Central, run_id: str, attempt: int, folder: Path, tell: Tell) -> None:
        """`folder` is the attempt's own; what an earlier process has left in it is uploaded, too."""
        self._central, self._tell = central, tell
        self._run_id, self._attempt = run_id, attempt
        self._checkpoints, self._recordings = Checkpoints(folder / "uploads"), Recordings(folder / "recording")
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def checkpoint(self, path: Path, step: int) -> None:
        """A periodic checkpoint is complete. Called in the training's thread: takes no time and never raises."""
        try:
            self._checkpoints.add(path, step)
        except OSError as error:
            log.warning("The checkpoint at step %s can't be kept for its upload: %s", step, error)
        self._changed.set()

    def close(self) -> None:
        """No more uploads in the background; the one under way is broken off."""
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def finish(self, stop: Stop, trained: int | None, patience: Patience) -> None:
        """Uploads and tells what is left, but no checkpoint up to step `trained`: a later one is in the outcome."""
        self.close()
        if stop.reason == Stop.FENCED:
            return
        self._checkpoints.forget(trained)
        self._recordings.wait_for_the_last()
        try:
            insist(lambda: self._work(patience.terms()), patience)
        except Away as error:
            log.warning("Not all of attempt %s of run %s was uploaded: %s", self._attempt, self._run_id, error)

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._ended.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            try:
                self._work(Terms(must_end=self._ended.is_set))
                pause = LOOK_SECONDS
            except Away as error:
                if not self._ended.is_set():
                    log.warning("%s; the training goes on, its files wait.", error)
                self._ended.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception:
                log.exception("A file of attempt %s of run %s can't be uploaded.", self._attempt, self._run_id)
                self._ended.wait(LONGEST_PAUSE_SECONDS)

    def _work(self, terms: Terms) -> None:
        """All that waits, the newest checkpoint first. Raises Away."""
        while (step := self._checkpoints.newest()) is not None:
            self._one(terms, "checkpoint", self._checkpoints.path(step), {"step": step}, step)
            self._checkpoints.forget(step)
        for piece in self._recordings.finished():
            self._one(terms, "recording", piece, self._recordings.manifest(piece), None)
            self._recordings.forget(piece)

    def _one(self, terms: Terms, kind: str, path: Path, manifest: dict[str, object], step: int | None) -> None:
        name = path.name if kind == "checkpoint" else f"recording-{path.name}"
        try:
            artifact = Artifact(kind, sha256_of(path), path.stat().st_size, manifest, name, step)
            self._central.upload(self._run_id, self._attempt, name, path, terms)
            self._say(artifact)
        except FileNotFoundError:
            log.info("%s was overtaken by a newer one.", name)
        except Refused as refusal:
            log.warning("%s is not wanted: %s", name, refusal)

    def _say(self, artifact: Artifact) -> None:
        try:
            self._tell(Upload(UUID(self._run_id), self._attempt, artifact))
        except Exception as error:
            raise Away(f"The broker does not take a message: {type(error).__name__}") from error
