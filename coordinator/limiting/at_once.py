"""How many requests of one user or team are at work at the same time: the others wait for one to end.

However often somebody may ask: who asks for what is costly, from many places at once, must not take all connections to
the database and all of the processor's time from everybody else. Pure; only `turn` waits.
"""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MOST_WAITING = 100
"""Of one key: whoever comes then is told so at once."""


@dataclass(slots=True)
class _Gate:
    """Of one key."""

    changed: threading.Condition
    at_work: int = 0
    waiting: int = 0


class AtOnce:
    """The gates of one process, of those who are there."""

    def __init__(self) -> None:
        self._gates: dict[Hashable, _Gate] = {}
        self._lock = threading.Lock()
        """Of all gates: nobody finds one that is just being given up."""

    @contextmanager
    def turn(self, key: Hashable, most: int, seconds: float) -> Iterator[bool]:
        """One of `most` (0: of any number) at work for this key; False where none ended its work within `seconds`."""
        is_in = self._enter(key, most, seconds)
        try:
            yield is_in
        finally:
            if is_in:
                self._leave(key)

    def _enter(self, key: Hashable, most: int, seconds: float) -> bool:
        with self._lock:
            gate = self._gates.setdefault(key, _Gate(threading.Condition(self._lock)))
            if gate.waiting >= MOST_WAITING:
                return False
            gate.waiting += 1
            is_in = False
            try:
                is_in = gate.changed.wait_for(lambda: not most or gate.at_work < most, seconds)
            finally:
                gate.waiting -= 1
                gate.at_work += is_in
                self._tidy(key, gate)
            return is_in

    def _leave(self, key: Hashable) -> None:
        with self._lock:
            gate = self._gates[key]
            gate.at_work -= 1
            gate.changed.notify()
            self._tidy(key, gate)

    def _tidy(self, key: Hashable, gate: _Gate) -> None:
        if not gate.at_work and not gate.waiting:
            del self._gates[key]
