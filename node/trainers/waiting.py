"""Says that the trainer waits for its environment, which from outside looks like work. Runs in the trainer's Python."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

LOOK_S = 1.0


class Waiting:
    """`tell` is called every second, from a thread, while one call of `for_environment` lasts longer than that."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._since: float | None = None
        threading.Thread(target=self._watch, name="waiting", daemon=True).start()

    def for_environment(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Does the call, in which the trainer can only wait."""
        self._since = time.monotonic()
        try:
            return call(*arguments)
        finally:
            self._since = None

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_S)
            since = self._since
            if since is not None and time.monotonic() >= since + LOOK_S:
                self._tell()
