"""When jobs that wait will probably begin: what runs now ends as fast as it has gone so far, and the others take turns.
Pure; all times in seconds from now."""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Running:
    """A training: what is left of it, by the steps that it has made and the time that it took for them."""

    steps_left: int
    steps_made: int
    took: float
    since: float
    """How long ago it had made those."""
    elapsed: float
    """Since its claim."""

    def left(self, usual: float | None) -> float:
        """`usual`: seconds for a step of others like it, where they are known. inf: nobody knows."""
        if self.steps_made > 0:
            return max(0.0, self.steps_left * self.took / self.steps_made - self.since)
        return inf if usual is None else max(0.0, self.steps_left * usual - self.elapsed)


class Slots:
    """The slots of one node, each with the time at which it is free."""

    def __init__(self, count: int, ends: Iterable[float]) -> None:
        self.count = count
        self._free = sorted(ends)[: max(count, 0)]
        self._free = [0.0] * (count - len(self._free)) + self._free
        heapq.heapify(self._free)

    @property
    def next(self) -> float:
        return self._free[0] if self._free else inf

    def take(self, seconds: float) -> None:
        """The one that is free first has another training, for so long."""
        if self._free:
            heapq.heapreplace(self._free, self._free[0] + seconds)


def starts(waiting: Iterable[tuple[list[Slots], float]]) -> list[float]:
    """When each begins, in the order in which they take turns: the nodes that fit, and how long it will take."""
    first_free: Callable[[Slots], float] = lambda its: its.next  # noqa: E731
    found = []
    for fitting, seconds in waiting:
        first = min(fitting, key=first_free, default=None)
        found.append(first.next if first else inf)
        if first:
            first.take(seconds)
    return found
