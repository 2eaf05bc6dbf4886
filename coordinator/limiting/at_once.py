"""How many requests of one user or team are at work at the same time: the others wait, in the order in which they came.

However often somebody may ask: who asks for what is costly, from many places at once, must not take all connections to
the database and all of the processor's time from everybody else. Pure; only `turn` waits.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MOST_WAITING = 100
"""Of one key: whoever comes then is told so at once."""


@dataclass(slots=True)
class _Gate:
    """Of one key."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    at_work: int = 0
    waiting: int = 0


class AtOnce:
    """The gates of one process, of those who are there."""

    def __init__(self) -> None:
        self._gates: dict[Hashable, _Gate] = {}

    @contextmanager
    def turn(self, key: Hashable, most: int, seconds: float) -> Iterator[bool]:
        """One of `most` (0: of any number) at work for this key; False where none ended its work within `seconds`."""
        gate = self._gates.setdefault(key, _Gate())
        is_in = self._enter(gate, most, seconds)
        try:
            yield is_in
        finally:
            self._leave(key, gate, is_in)

    def _enter(self, gate: _Gate, most: int, seconds: float) -> bool:
        with gate.changed:
            if gate.waiting >= MOST_WAITING:
                return False
            gate.waiting += 1
            is_in = gate.changed.wait_for(lambda: not most or gate.at_work < most, seconds)
            gate.waiting -= 1
            gate.at_work += is_in
            return is_in

    def _leave(self, key: Hashable, gate: _Gate, was_in: bool) -> None:
        with gate.changed:
            gate.at_work -= was_in
            gate.changed.notify()
            if not gate.at_work and not gate.waiting:
                self._gates.pop(key, None)
