"""How often somebody may ask: a bucket of requests for each user, team and address, which fills again. Pure.

Each process has buckets of its own, so that asking costs microseconds: with N web processes, N times as much may come
through at most.
"""

import time
from collections.abc import Callable, Hashable

BURST_SECONDS = 10.0
"""A full bucket holds what flows in within so long."""
MOST_BUCKETS = 20_000


class Pace:
    """The buckets of one kind."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, burst_seconds: float = BURST_SECONDS) -> None:
        self._clock, self._burst = clock, burst_seconds
        self._buckets: dict[Hashable, tuple[float, float]] = {}
        """What is in each, and when that was so."""

    def take(self, key: Hashable, per_minute: int) -> float:
        """0 for a request that may go on, else in how many seconds one may. `per_minute` 0: all may."""
        if not per_minute:
            return 0.0
        left = self._left(key, per_minute)
        if left < 1:
            return (1 - left) * 60 / per_minute
        if len(self._buckets) >= MOST_BUCKETS:
            self._buckets.clear()
        self._buckets[key] = (left - 1, self._clock())
        return 0.0

    def wait(self, key: Hashable, per_minute: int) -> float:
        """The same without taking anything."""
        left = self._left(key, per_minute) if per_minute else 1.0
        return 0.0 if left >= 1 else (1 - left) * 60 / per_minute

    def _left(self, key: Hashable, per_minute: int) -> float:
        most = max(1.0, per_minute / 60 * self._burst)
        held = self._buckets.get(key)
        if held is None:
            return most
        return min(most, held[0] + (self._clock() - held[1]) * per_minute / 60)


class Held:
    """How many of something somebody has at the same time, in this process."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}

    def count(self, key: Hashable) -> int:
        return self._counts.get(key, 0)

    def add(self, *keys: Hashable) -> None:
        for key in keys:
            self._counts[key] = self.count(key) + 1

    def remove(self, *keys: Hashable) -> None:
        for key in keys:
            left = self.count(key) - 1
            if left:
                self._counts[key] = left
            else:
                del self._counts[key]
