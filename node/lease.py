"""The lease of a running attempt: a heartbeat in a thread, whose answer may be to stop.

A coordinator that does not answer stops nothing: the training goes on, and the next heartbeat is sent all the same.
"""

import logging
import threading
from collections.abc import Callable

from .central import Away, NotLetIn, Refused

log = logging.getLogger(__name__)
BEATS_PER_LEASE = 10
"""A lease outlives several lost heartbeats (the coordinator's pulses.py counts on this number), and a cancel, or that
the attempt is another node's by now, is heard of soon."""
AGAIN_SECONDS = 1.0
"""After a heartbeat that did not get through, the next comes sooner."""


class Stop:
    """Why a training is to stop. Given to the training as its stop flag; may be asked from any thread."""

    TIME_LIMIT, SHUTDOWN, CANCELLED, FENCED = "time limit", "shutdown", "cancelled", "fenced"
    _WEIGHTS = (TIME_LIMIT, SHUTDOWN, CANCELLED, FENCED)

    def __init__(self) -> None:
        self.reason: str | None = None
        """The weightiest so far: what is cancelled needs no next attempt, and of what is fenced nobody hears."""
        self.is_out_of_time = False
        """Whether the time limit came first: then a shutdown after it is no reason for another attempt."""
        self.fenced = threading.Event()
        """Nobody wants any more what the training would save."""

    def ask(self, reason: str) -> None:
        if reason == self.TIME_LIMIT and self.reason is None:
            self.is_out_of_time = True
        if self.reason is None or self._WEIGHTS.index(reason) > self._WEIGHTS.index(self.reason):
            self.reason = reason
        if reason == self.FENCED:
            self.fenced.set()

    def is_set(self) -> bool:
        return self.reason is not None


class Lease:
    """Renews until `release`; `beat` is one heartbeat and returns the coordinator's answer."""

    def __init__(self, beat: Callable[[], str], lease_seconds: float, stop: Stop) -> None:
        self._beat, self._stop = beat, stop
        self._every = lease_seconds / BEATS_PER_LEASE
        self._released = threading.Event()
        threading.Thread(target=self._run, name="lease", daemon=True).start()

    def release(self) -> None:
        """No more heartbeats: the attempt is handed in."""
        self._released.set()

    def _run(self) -> None:
        pause = self._every
        while not self._released.wait(pause):
            pause = self._every
            try:
                self._heed(self._beat())
            except NotLetIn as error:
                log.error("No heartbeat is taken, the training goes on: %s", error)
            except Away as error:
                log.warning("No heartbeat could be sent, the training goes on: %s", error)
                pause = min(AGAIN_SECONDS, self._every)
            except Refused as error:
                log.error("The coordinator refuses heartbeats, the training goes on: %s", error)

    def _heed(self, answer: str) -> None:
        if answer == "cancel":
            self._stop.ask(Stop.CANCELLED)
        elif answer == "not yours":
            self._stop.ask(Stop.FENCED)
            self._released.set()
