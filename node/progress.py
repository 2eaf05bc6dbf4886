"""Does a running training go on? Tells one that computes for long from one that stands still. Pure: it is told all.

Signs of progress are what the trainer says between its steps. Without one, the processor time decides: of the trainer,
which may be at a long update, or, where it says that it waits for its environment, of everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

INTERVALS = 3  # a pause so many times as long as the longest of the recent ones is none any more
RECENT = 100  # signs
KNOWN = 5  # signs after which it is known what is usual; until then an idle pause may be three times as long
WINDOW_S = 2.0  # over which processor time is looked at
COMPUTES = 0.05  # of a core; one that only looks whether something has come needs less
LONGEST_LOOK_S = 1.0  # of a longer pause between two looks nobody knows anything: this node itself was not running


class Busy(NamedTuple):
    """Processor time in seconds since their start: of the trainer's own process, and of all others of the training."""

    trainer: float
    others: float


class Progress:
    """Of one training. `idle_s`: the shortest idle pause that is too long; `stall_s`: the longest pause of all."""

    def __init__(self, idle_s: float | None, stall_s: float | None) -> None:
        self._idle_s, self._stall_s = idle_s, stall_s
        self._pauses: deque[float] = deque(maxlen=RECENT)
        self._looked: float | None = None
        self._busy: Busy | None = None
        self._waits = False
        self._silent = self._idle = self._window = 0.0

    def sign(self) -> None:
        """The trainer has made a step."""
        self._pauses.append(self._silent)
        self._silent = self._idle = self._window = 0.0
        self._busy, self._waits = None, False

    def waits(self) -> None:
        """The trainer says that it waits for its environment."""
        self._waits = True

    def look(self, now: float, busy: Callable[[], Busy]) -> str | None:
        """To be called several times a second; a sentence once the training stands still. `now` in seconds."""
        passed = min(LONGEST_LOOK_S, now - self._looked) if self._looked is not None else 0.0
        self._looked = now
        self._silent += passed
        self._window += passed
        if self._busy is None or self._window >= WINDOW_S:
            self._judge(busy())
        return self._complaint()

    def _judge(self, busy: Busy) -> None:
        """Adds the window that is over to the idle time, or ends that."""
        if self._busy is not None:
            worked = busy.others - self._busy.others if self._waits else busy.trainer - self._busy.trainer
            self._idle = 0.0 if worked >= COMPUTES * self._window else self._idle + self._window
        self._busy, self._window, self._waits = busy, 0.0, False

    def _complaint(self) -> str | None:
        if self._stall_s is not None and self._silent > self._stall_s:
            return f"The training stood still: it made no step for {self._stall_s:.0f} s."
        if self._idle_s is None:
            return None
        if len(self._pauses) < KNOWN:
            first = f"The training stood still: it made no step for {self._silent:.0f} s after its start."
            return first if self._idle > INTERVALS * self._idle_s else None
        usual = max(self._idle_s / INTERVALS, *self._pauses)
        if self._idle <= INTERVALS * usual:
            return None
        return f"The training stood still: it made no step for {self._silent:.0f} s, where {usual:.0f} s are usual."
