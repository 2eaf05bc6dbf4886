"""What an attempt yields, on its way to S3: by presigned links into staging, where the coordinator takes it over."""

import logging
import threading
from collections.abc import Callable

from wire.facts import Artifact
from wire.jobs import JobSpec

from .central import Away, Central, sha256_of
from .lease import Stop
from .trainers.base import Artifact as Found

log = logging.getLogger(__name__)
UPLOADED = ("model", "checkpoint")
LONGEST_PAUSE_SECONDS = 10.0


def hand_over(central: Central, spec: JobSpec, found: tuple[Found, ...], stop: Stop) -> tuple[Artifact, ...]:
    """Uploads what a training left and says what was uploaded. Raises Refused; or Away, when the node shuts down."""
    uploaded = []
    for it in found:
        if it.kind not in UPLOADED or stop.reason == Stop.FENCED:
            continue
        artifact = Artifact(it.kind, sha256_of(it.path), it.path.stat().st_size, dict(it.manifest),
                            step=it.manifest.get("step"))  # fmt: skip
        path, name = it.path, artifact.name
        insist(lambda n=name, p=path: central.upload(spec.run_id, spec.attempt, n, p), stop)  # type: ignore[misc]
        uploaded.append(artifact)
    return tuple(uploaded)


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
