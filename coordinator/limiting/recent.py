"""What was found a moment ago, where finding it takes long: kept for twenty times as long as it took."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
TIMES, MOST = 20, 10_000


class Recent(Generic[T]):
    """By key. `least_seconds`: for so long it is kept in any case."""

    def __init__(self, least_seconds: float = 0.0) -> None:
        self._least = least_seconds
        self._known: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable, find: Callable[[], T]) -> T:
        now = time.monotonic()
        known = self._known.get(key)
        if known and now < known[0]:
            return known[1]
        found = find()
        taken = time.monotonic() - now
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = (now + taken + max(self._least, taken * TIMES), found)
        return found

    def forget(self) -> None:
        self._known.clear()
