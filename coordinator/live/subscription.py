"""What waits for one socket: numbered events, and messages that are only passed on. Bounded, in the order of arrival.

Events are in the record: at the bound their queue is forgotten and the socket reads from PostgreSQL. What is passed on
is nowhere else: at the bound the oldest go, and a message says how many, in their place. Neither costs the other.
"""

import threading
from collections import deque
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from .. import messages

Item = tuple[int, bool, str | bytes]
"""(seq, final, frame). What is passed on has the seq 0 and, as bytes, is a frame as it goes over the wire."""
PASSED_ON = 0
MOST_PASSED_ON = 2_000
SLICE_BYTES = 64 * 1024
"""A socket takes so much at a time; what it has not taken can still make room for what is newer."""


Place = tuple[int, int]
"""(attempt, n) of a piece of a log."""
MOST_PIECES = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log: where it stands, the n before it in its attempt (0: none), and the message."""

    place: Place
    before: int
    frame: str


class PassedOn:
    """Frames with the number of their arrival, bounded by count and bytes; the newest one always has its place."""

    def __init__(self, most_bytes: int, most: int = MOST_PASSED_ON) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._frames: deque[tuple[int, bytes]] = deque()
        self._size = self._skipped = 0

    def add(self, arrival: int, frame: bytes) -> None:
        self._frames.append((arrival, frame))
        self._size += len(frame)
        while len(self._frames) > 1 and (len(self._frames) > self._most or self._size > self._most_bytes):
            self._size -= len(self._frames.popleft()[1])
            self._skipped += 1

    @property
    def next_arrival(self) -> int | None:
        """Of the oldest that waits."""
        return self._frames[0][0] if self._frames else None

    def take(self) -> list[Item]:
        """The oldest, and before it how many are missing there."""
        frame = self._frames.popleft()[1]
        self._size -= len(frame)
        skipped, self._skipped = self._skipped, 0
        told: list[Item] = [(PASSED_ON, False, messages.skipped(skipped))] if skipped else []
        return [*told, (PASSED_ON, False, frame)]


class Subscription:
    """One socket's queue of what comes of one job."""

    def __init__(self, run_id: UUID, limit: int, most_bytes: int) -> None:
        self.run_id = run_id
        self.cursor = 0
        """The number of the newest event its socket has sent; kept by the socket."""
        self._arrivals = count()
        self._events: deque[tuple[int, Item]] = deque()
        self._passed_on = PassedOn(most_bytes)
        self.log_place: Place | None = None
        """The newest piece of the log that its socket has sent; None where it asks for none."""
        self._log: deque[Piece] | None = deque()
        self._limit = limit
        self._behind = False
        self._wake = threading.Event()

    @property
    def newest(self) -> int:
        """The number of the newest event that it has or has had."""
        return max(self.cursor, self._events[-1][1][0] if self._events else 0)

    def offer(self, items: list[Item]) -> None:
        """Queues events, or notes that there were too many."""
        if len(self._events) + len(items) > self._limit:
            self.fall_behind()
        elif not self._behind:
            self._events.extend((next(self._arrivals), item) for item in items)
            self._wake.set()

    def pass_on(self, frame: bytes) -> None:
        """Queues a frame that has no number."""
        self._passed_on.add(next(self._arrivals), frame)
        self._wake.set()

    def offer_log(self, piece: Piece) -> None:
        """Queues a piece of the log, or notes that there were too many."""
        if self.log_place is None or self._log is None:
            return
        self._log.append(piece)
        if len(self._log) > MOST_PIECES:
            self._log = None
        self._wake.set()

    def lose_log(self) -> None:
        """Pieces of the log may have been missed."""
        self._log = None
        self._wake.set()

    def take_log(self) -> list[Piece] | None:
        """The pieces of the log that have come; None when the record must be read instead."""
        pieces, self._log = self._log, deque()
        return None if pieces is None else list(pieces)

    def fall_behind(self) -> None:
        """Something may have been missed: the events that are queued are of no use any more."""
        self._events.clear()
        self._behind = True
        self._wake.set()

    def take(self, timeout: float) -> list[Item] | None:
        """What has come, after waiting for it up to `timeout` seconds; None when the record must be read instead."""
        self._wake.wait(timeout)
        self._wake.clear()
        if self._behind:
            self._behind = False
            self._wake.set()  # what is passed on still waits
            return None
        items, size = list[Item](), 0
        while size < SLICE_BYTES and (some := self._oldest()):
            items += some
            size += len(some[-1][2])
        if size >= SLICE_BYTES:
            self._wake.set()
        return items

    def _oldest(self) -> list[Item]:
        passed_on = self._passed_on.next_arrival
        if self._events and (passed_on is None or self._events[0][0] < passed_on):
            return [self._events.popleft()[1]]
        return [] if passed_on is None else self._passed_on.take()
