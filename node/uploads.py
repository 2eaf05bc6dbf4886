"""What an attempt yields, on its way to S3: by presigned links into staging, where the coordinator takes it over.

While it trains, the folder is the queue: what lies there is uploaded and told by a thread, whoever is away meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from wire.facts import KINDS, MAX_ARTIFACTS, Artifact
from wire.uploads import Upload

from .central import Away, Central, Refused, sha256_of
from .excerpt import bounded
from .lease import Stop
from .pending import Checkpoints, Recordings
from .trainers.base import Artifact as Found

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
"""How often the thread looks for finished pieces of a recording; for a checkpoint it is woken."""
LONGEST_PAUSE_SECONDS = 10.0
Tell = Callable[[Upload], None]
"""Tells the coordinator that a file of the running attempt is in staging."""
NEEDED = ("model", "checkpoint")
LOGS = ("log", "environment_log")


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
        """No more uploads in the background. Returns once the one under way has ended."""
        self._ended.set()
        self._changed.set()
        self._thread.join()

    def finish(self, stop: Stop, trained: int | None) -> None:
        """Uploads and tells what is left, but no checkpoint up to step `trained`: a later one is in the outcome."""
        self.close()
        if stop.reason == Stop.FENCED:
            return
        self._checkpoints.forget(trained)
        self._recordings.wait_for_the_last()
        try:
            insist(self._work, stop)
        except Away as error:
            log.warning("The node shuts down before all was uploaded: %s", error)

    def _run(self) -> None:
        pause = LOOK_SECONDS
        while not self._ended.is_set():
            self._changed.wait(LOOK_SECONDS)
            self._changed.clear()
            try:
                self._work()
                pause = LOOK_SECONDS
            except Away as error:
                log.warning("%s; the training goes on, its files wait.", error)
                self._ended.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception:
                log.exception("A file of attempt %s of run %s can't be uploaded.", self._attempt, self._run_id)
                self._ended.wait(LONGEST_PAUSE_SECONDS)

    def _work(self) -> None:
        """All that waits, the newest checkpoint first. Raises Away."""
        while (step := self._checkpoints.newest()) is not None:
            self._one("checkpoint", self._checkpoints.path(step), {"step": step}, step)
            self._checkpoints.forget(step)
        for piece in self._recordings.finished():
            self._one("recording", piece, self._recordings.manifest(piece), None)
            self._recordings.forget(piece)

    def _one(self, kind: str, path: Path, manifest: dict[str, object], step: int | None) -> None:
        name = path.name if kind == "checkpoint" else f"recording-{path.name}"
        try:
            artifact = Artifact(kind, sha256_of(path), path.stat().st_size, manifest, name, step)
            self._central.upload(self._run_id, self._attempt, name, path)
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


def hand_over(
    central: Central, run_id: str, attempt: int, found: tuple[Found, ...], stop: Stop
) -> tuple[Artifact, ...]:
    """Uploads what a training left, model and checkpoint first, and says what was uploaded.

    Raises Refused or Away (the latter only when the node shuts down) where model or checkpoint could not be uploaded;
    of other files, those that could not are left out.
    """
    uploaded: dict[str, Artifact] = {}
    for it in sorted(found, key=lambda it: it.kind not in NEEDED):
        name = it.name or (it.path.name if it.kind == "tensorboard" else KINDS[it.kind])
        if stop.reason == Stop.FENCED or len(uploaded) == MAX_ARTIFACTS or name in uploaded:
            continue
        try:
            uploaded[name] = _hand_over_one(central, run_id, attempt, name, it, stop)
        except (Away, Refused, OSError) as error:
            if it.kind in NEEDED:
                raise
            log.warning("%s is not handed in: %s", name, error)
    return tuple(uploaded.values())


def hand_over_rest(central: Central, run_id: str, attempt: int, folder: Path, stop: Stop) -> tuple[Artifact, ...]:
    """What a node that was killed has left of an attempt: the newest checkpoint that waits, and the trainer's log."""
    checkpoints, log_file = Checkpoints(folder / "uploads"), folder / "training" / "trainer.log"
    found = [Found("log", log_file)] if log_file.is_file() else []
    if (step := checkpoints.newest()) is not None:
        found.append(Found("checkpoint", checkpoints.path(step), {"step": step}))
    try:
        return hand_over(central, run_id, attempt, tuple(found), stop)
    except (Away, Refused, OSError) as error:
        log.warning("What attempt %s of run %s had not stored yet is lost: %s", attempt, run_id, error)
        return ()
    finally:
        checkpoints.forget(step)


def _hand_over_one(central: Central, run_id: str, attempt: int, name: str, it: Found, stop: Stop) -> Artifact:
    path = bounded(it.path) if it.kind in LOGS else it.path
    step = it.manifest.get("step", it.manifest.get("steps"))
    artifact = Artifact(it.kind, sha256_of(path), path.stat().st_size, dict(it.manifest), name, step)
    insist(lambda: central.upload(run_id, attempt, name, path), stop)
    return artifact


def insist(work: Callable[[], None], stop: Stop) -> None:
    """Repeats `work` while the other side is away: a finished training is worth any wait, unless the node shuts down.

    Raises Refused when the coordinator says no, and Away when there is no time left to wait.
    """
    pause = 0.5
    while True:
        try:
            return work()
        except Away as error:
            if stop.reason in (Stop.SHUTDOWN, Stop.FENCED):
                raise
            log.warning("%s; trying again in %.0f s.", error, pause)
            threading.Event().wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
