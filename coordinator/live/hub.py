"""Spreads events to the sockets of one process. Pure: no network, no database, nothing that waits but `take`.

Each subscription has a bounded queue. At the bound it forgets the queue and is told that it is behind: its socket then
reads from PostgreSQL at its own pace, so one slow reader costs a bound of memory and delays nobody.
"""

import threading
from collections import deque
from uuid import UUID

Item = tuple[int, bool, str]
"""(seq, final, frame)"""


class Subscription:
    """One socket's queue of events of one job."""

    def __init__(self, run_id: UUID, limit: int) -> None:
        self.run_id = run_id
        self.cursor = 0
        """The number of the newest event its socket has sent; kept by the socket."""
        self._items: deque[Item] = deque()
        self._limit = limit
        self._behind = False
        self._wake = threading.Event()

    def offer(self, items: list[Item]) -> None:
        """Queues events, or notes that there were too many."""
        if len(self._items) + len(items) > self._limit:
            self.fall_behind()
        elif not self._behind:
            self._items.extend(items)
            self._wake.set()

    def fall_behind(self) -> None:
        """Something may have been missed: what is queued is of no use any more."""
        self._items.clear()
        self._behind = True
        self._wake.set()

    def take(self, timeout: float) -> list[Item] | None:
        """What has come, after waiting for it up to `timeout` seconds; None when the record must be read instead."""
        self._wake.wait(timeout)
        self._wake.clear()
        if self._behind:
            self._behind = False
            return None
        items = list(self._items)
        self._items.clear()
        return items


class Hub:
    """The subscriptions of a process, by job."""

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._subscriptions: dict[UUID, set[Subscription]] = {}
        self.draining = False
        """Set when the process is to stop: sockets say good-bye."""

    def subscribe(self, run_id: UUID) -> Subscription:
        """From now on every event of the job is offered."""
        subscription = Subscription(run_id, self._limit)
        self._subscriptions.setdefault(run_id, set()).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The last one of a job leaves nothing behind."""
        rest = self._subscriptions.get(subscription.run_id, set())
        rest.discard(subscription)
        if not rest:
            self._subscriptions.pop(subscription.run_id, None)

    def publish(self, run_id: UUID, items: list[Item]) -> None:
        """Offers events of a job to those who watch it."""
        for subscription in self._subscriptions.get(run_id, ()):
            subscription.offer(items)

    def everybody_is_behind(self) -> None:
        """The connection to the broker was away: anything may have been missed."""
        for subscription in self._all():
            subscription.fall_behind()

    def check(self, newest: dict[UUID, int]) -> None:
        """Compares with the newest number of each job in the record: a lost hint is found here."""
        for subscription in self._all():
            if subscription.cursor < newest.get(subscription.run_id, 0):
                subscription.fall_behind()

    def drain(self) -> None:
        """Wakes every socket so that it can say good-bye."""
        self.draining = True
        self.everybody_is_behind()

    def watched(self) -> list[UUID]:
        """The jobs that somebody watches."""
        return list(self._subscriptions)

    def _all(self) -> list[Subscription]:
        return [subscription for some in self._subscriptions.values() for subscription in some]
