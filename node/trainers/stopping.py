"""How a trainer learns that it is to stop. Runs in the trainer's Python."""

from __future__ import annotations

import signal
from typing import Any

PATIENCE_S = 5.0  # how long a stop waits for the end of the current step before it interrupts


class StopRequest:
    """SIGINT and SIGTERM both mean: stop, save, export. Taken between two steps if one ends soon."""

    def __init__(self) -> None:
        self.asked = False
        self.stepping = False

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        signal.signal(signal.SIGALRM, self._interrupt)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            return  # a second signal must not disturb the saving
        self.asked = True
        if not self.stepping:
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def _interrupt(self, number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def take(self) -> None:
        """Called between two steps."""
        self.stepping = True
        if self.asked:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    def close(self) -> None:
        """From here on nothing interrupts: what there is is being saved."""
        self.asked = True
        signal.setitimer(signal.ITIMER_REAL, 0)
