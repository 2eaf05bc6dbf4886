"""Rounds of work by several clients, and what is said of them."""

import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

SWITCH_SECONDS = 0.0005
"""Python's threads take turns every 5 ms; a measuring process takes them more often, or it measures itself."""
ROUNDS = 3


@dataclass(frozen=True)
class Sample:
    """One round: operations per second, and the time of each in seconds."""

    rate: float
    times: list[float]

    def quantile(self, part: float) -> float:
        """In milliseconds."""
        return sorted(self.times)[min(int(len(self.times) * part), len(self.times) - 1)] * 1000


def run(
    make: Callable[[], Callable[[], None]], clients: int, seconds: float, settle: Callable[[], None] = lambda: None
) -> Sample:
    """Each client makes itself a piece of work (not timed), then repeats it for `seconds`; `settle` is timed too."""
    times: list[list[float]] = [[] for _ in range(clients)]
    barrier = threading.Barrier(clients + 1)

    def client(mine: list[float]) -> None:
        work = make()
        barrier.wait()
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            work()
            mine.append(time.perf_counter() - start)

    threads = [threading.Thread(target=client, args=(mine,)) for mine in times]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    settle()
    all_times = [one for mine in times for one in mine]
    return Sample(len(all_times) / (time.perf_counter() - began), all_times)


def ratio(ours: list[float], floor: list[float]) -> str:
    """The median of the rounds' ratios, with the smallest and the largest."""
    ratios = [mine / theirs for mine, theirs in zip(ours, floor, strict=True)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def show(name: str, samples: list[Sample]) -> None:
    """One line: medians over the rounds."""
    rate, p50, p99 = (
        statistics.median(values)
        for values in zip(*((s.rate, s.quantile(0.5), s.quantile(0.99)) for s in samples), strict=True)
    )
    print(f"  {name:<34} {rate:9.0f}/s   p50 {p50:7.2f} ms   p99 {p99:7.2f} ms")


def progress(text: str) -> None:
    """What is being done, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def paced(work: Callable[[], None], times: int, interval: float) -> None:
    """Repeats the work on a fixed timetable: what is late is not forgiven."""
    due = time.perf_counter()
    for _ in range(times):
        due += interval
        time.sleep(max(0.0, due - time.perf_counter()))
        work()
