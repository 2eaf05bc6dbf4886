"""How long a node repeats what S3 or the coordinator does not take at the moment, and when it gives up for now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from .central import Away
from .lease import Stop
from .transfer import Terms

log = logging.getLogger(__name__)
HURRIED_SECONDS = 10.0
"""Patience of an attempt that somebody wants to end, by a cancel or by stopping the node."""
SLOW_SECONDS = 60.0
"""How long such an attempt may go on with an upload whose bytes flow."""
LOOK_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


class Patience:
    """Counted from the last success. Asked again and again, by one thread, whether it is over."""

    def __init__(self, stop: Stop, seconds: float, hurried: float | None = None) -> None:
        self._stop, self._seconds = stop, seconds
        self._hurried = min(HURRIED_SECONDS if hurried is None else hurried, seconds)
        self._since = time.monotonic()
        self._stopped_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long it lasts without any success."""
        return self._hurried if self._is_stopped() else self._seconds

    def renew(self) -> None:
        """Something has been taken."""
        self._since = time.monotonic()

    def is_over(self) -> bool:
        """Whether there is to be no other try."""
        return self._stop.reason == Stop.FENCED or time.monotonic() - self._since >= self.seconds

    def must_end(self) -> bool:
        """Whether even a try whose bytes flow is to end: nobody wants it, or somebody has waited for it long enough."""
        if not self._is_stopped():
            return False
        return self._stop.reason == Stop.FENCED or time.monotonic() - (self._stopped_at or 0) >= SLOW_SECONDS

    def terms(self, moved: Callable[[int], None] = lambda size: None) -> Terms:
        """On which the next try is made."""
        return Terms(self.seconds / 2, self.must_end, moved)  # silence leaves time for another try

    def wait(self, seconds: float) -> bool:
        """Waits that long; False, at once, when patience is over."""
        until = time.monotonic() + seconds
        while not self.is_over():
            if (left := until - time.monotonic()) <= 0:
                return True
            time.sleep(min(left, LOOK_SECONDS))
        return False

    def _is_stopped(self) -> bool:
        """A time limit that is over does not count: nobody waits for that end."""
        is_stopped = self._stop.reason not in (None, Stop.TIME_LIMIT)
        if is_stopped and self._stopped_at is None:
            self._stopped_at = time.monotonic()
        return is_stopped


def insist(work: Callable[[], None], patience: Patience) -> None:
    """Repeats `work` while the other side is away. Raises Refused when the coordinator says no, and Away when patience
    is over."""
    pause = 0.5
    while True:
        try:
            work()
            return patience.renew()
        except Away as error:
            if patience.is_over():
                raise
            log.warning("%s; trying again in %.0f s.", error, pause)
            if not patience.wait(pause):
                raise
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
