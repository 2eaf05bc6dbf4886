"""How a trainer learns that it is to stop. Runs in the trainer's Python."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

ALIVE_S = 1.0  # how often at most the node is told that steps are made
PATIENCE_S = 5.0  # how long a stop waits for the end of the current step before it interrupts


class StopRequest:
    """SIGINT and SIGTERM both mean: stop, save, export. Taken between two steps if one ends soon.

    `alive` is called between steps, every second at most: a training without steps is ended by the node.
    """

    def __init__(self, alive: Callable[[], None] = lambda: None) -> None:
        self._alive, self._told = alive, 0.0
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
        if time.monotonic() > self._told + ALIVE_S:
            self._told = time.monotonic()
            self._alive()
        if self.asked:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    def close(self) -> None:
        """From here on nothing interrupts: what there is is being saved."""
        self.asked = True
        signal.setitimer(signal.ITIMER_REAL, 0)
