"""The faults of a soak: one after another, each against somebody and in a way that chance has chosen."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random

import psutil

from tests.faults.cells import why_not
from tests.faults.moments import TRAINING
from tests.faults.rig import Rig
from tests.faults.victims import COMPONENTS, HITS, find, hit

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 6.0


class Faults:
    """Hits until it is told to end, and makes good what was hit."""

    def __init__(self, rig: Rig, random: Random) -> None:
        self._rig, self._random = rig, random
        self._is_over = threading.Event()
        self._done: Counter[str] = Counter()
        self.broken: list[str] = []

    def go_on(self, open_jobs: Callable[[], list[str]], until: float) -> None:
        """One after another; what is hit is there again before the next."""
        while time.monotonic() < until and not self._is_over.is_set():
            component, how = self._choose()
            try:
                if run_ids := open_jobs():
                    self._hit(component, how, self._random.choice(run_ids))
            except (LookupError, psutil.Error):
                continue  # it is not there at the moment: another one
            except Exception as error:  # what was hit did not come back
                self.broken.append(f"After {how} of {component}: {error!r}.")
            self._is_over.wait(self._random.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS))

    def end(self) -> None:
        self._is_over.set()

    def _choose(self) -> tuple[str, str]:
        while True:
            component, how = self._random.choice(COMPONENTS), self._random.choice(HITS)
            if why_not(component, how, TRAINING.name) is None:
                return component, how

    def _hit(self, component: str, how: str, run_id: str) -> None:
        make_good = hit(find(self._rig, component, run_id), how)
        self._done[f"{component} {how}"] += 1
        make_good()

    def line(self) -> str:
        return f"{self._done.total()} faults;"

    def summary(self) -> str:
        return f"Faults: {', '.join(f'{what} ({count})' for what, count in sorted(self._done.items()))}."
