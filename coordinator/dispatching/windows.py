"""How many trainings may lie in the broker's queues: as many as nodes have free slots for, and one more. Pure.

What lies there is out of our hands, whoever comes meanwhile; what is held back can still be put in order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from . import placement
from .placement import Present


class Windows:
    """The nodes that are there, and what lies in each queue: (queue, what its jobs ask for, how many)."""

    def __init__(self, nodes: list[Present], sent: list[tuple[str, dict[str, Any], int]]) -> None:
        self._open = [node for node in nodes if node.closed is None]
        self._sent: Counter[str] = Counter()
        self._takers: dict[str, frozenset[int]] = {}
        for queue, requires, count in sent:
            self._sent[queue] += count
            self.takers(queue, requires)

    @property
    def most(self) -> int:
        """So many can be sent at most, of all queues together."""
        return self._free(frozenset(range(len(self._open)))) + 1

    def takers(self, queue: str, requires: Mapping[str, Any]) -> frozenset[int]:
        """Which of the nodes take from that queue."""
        if queue not in self._takers:
            fits = (number for number, node in enumerate(self._open) if not placement.lacks(node.has, dict(requires)))
            self._takers[queue] = frozenset(fits)
        return self._takers[queue]

    def may_begin(self, sent: Sequence[Any]) -> list[Any]:
        """Of the rows that tell what lies in which queue, those of which a node may take. What nobody takes counts for
        nobody's limits, or it would keep all others of its user waiting with it."""
        return [row for row in sent if self.takers(row.queue, row.requires)]

    def has_room(self, queue: str, requires: Mapping[str, Any]) -> bool:
        """Whether one more may be sent there. What lies in other queues counts as far as it may take the same slots."""
        mine = self.takers(queue, requires)
        others = (self._competing(mine, other) for other in self._takers if other != queue)
        return self._sent[queue] + sum(others) <= self._free(mine)

    def add(self, queue: str) -> None:
        """One more lies there."""
        self._sent[queue] += 1

    def _competing(self, mine: frozenset[int], other: str) -> int:
        shared = mine & self._takers[other]
        return min(self._sent[other], self._free(shared) + 1) if shared else 0

    def _free(self, numbers: frozenset[int]) -> int:
        nodes = (self._open[number] for number in numbers)
        return sum(max(0, node.has.slots - node.trainings) for node in nodes)
