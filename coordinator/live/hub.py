"""Spreads what comes of jobs to the sockets of one process. Pure: no network, no database; only `take` waits.

Each subscription has bounded queues, so one slow reader costs a bound of memory and delays nobody.
"""

from collections.abc import Callable
from uuid import UUID

from .subscription import Item, Piece, Place, Subscription

__all__ = ["Hub", "Item", "Subscription"]


class _Watched:
    """A job that somebody watches: who, and its newest attempt as far as this process knows."""

    __slots__ = ("attempt", "subscriptions")

    def __init__(self) -> None:
        self.subscriptions: set[Subscription] = set()
        self.attempt = 0


class Hub:
    """The subscriptions of a process, by job."""

    def __init__(self, limit: int = 1_000, most_bytes: int = 4 * 1024 * 1024) -> None:
        self._limit, self._most_bytes = limit, most_bytes
        self._jobs: dict[UUID, _Watched] = {}
        self.draining = False
        """Set when the process is to stop: sockets say good-bye."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when the set of watched jobs has changed."""

    def subscribe(self, run_id: UUID, attempt: int = 0) -> Subscription:
        """From now on everything of the job is offered; nothing that is passed on comes of an earlier attempt."""
        subscription = Subscription(run_id, self._limit, self._most_bytes)
        is_first = run_id not in self._jobs
        self._jobs.setdefault(run_id, _Watched()).subscriptions.add(subscription)
        self.note_attempt(run_id, attempt)
        if is_first:
            self.on_change()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """The last one of a job leaves nothing behind."""
        job = self._jobs.get(subscription.run_id)
        if job is None:
            return
        job.subscriptions.discard(subscription)
        if not job.subscriptions:
            del self._jobs[subscription.run_id]
            self.on_change()

    def publish(self, run_id: UUID, items: list[Item]) -> None:
        """Offers events of a job to those who watch it."""
        for subscription in self._of(run_id):
            subscription.offer(items)

    def publish_log(self, run_id: UUID, piece: Piece) -> None:
        """Offers a piece of a job's log to those who asked for it."""
        for subscription in self._of(run_id):
            subscription.offer_log(piece)

    def pass_on(self, run_id: UUID, attempt: int, frame: bytes) -> None:
        """Offers a frame that is not stored. What comes of an attempt before the newest is dropped."""
        if run_id in self._jobs and self.note_attempt(run_id, attempt) == attempt:
            for subscription in self._of(run_id):
                subscription.pass_on(frame)

    def note_attempt(self, run_id: UUID, attempt: int) -> int:
        """The newest attempt of a watched job that this process has heard of, this one included."""
        job = self._jobs.get(run_id)
        if job is None:
            return attempt
        job.attempt = max(job.attempt, attempt)
        return job.attempt

    def everybody_is_behind(self) -> None:
        """The connection to the broker was away: anything may have been missed."""
        for subscription in self._all():
            subscription.fall_behind()
            subscription.lose_log()

    def check_logs(self, newest: dict[UUID, Place]) -> None:
        """The same for the logs of those who asked for them."""
        for subscription in self._all():
            if subscription.log_place and subscription.log_place < newest.get(subscription.run_id, (0, 0)):
                subscription.lose_log()

    def log_watched(self) -> list[UUID]:
        """The jobs whose logs somebody asked for."""
        return list({its.run_id for its in self._all() if its.log_place})

    def check(self, newest: dict[UUID, int]) -> None:
        """Compares with the newest number of each job in the record: a lost hint is found here."""
        for subscription in self._all():
            if subscription.newest < newest.get(subscription.run_id, 0):
                subscription.fall_behind()

    def drain(self) -> None:
        """Wakes every socket so that it can say good-bye."""
        self.draining = True
        self.everybody_is_behind()

    def watched(self) -> list[UUID]:
        """The jobs that somebody watches."""
        return list(self._jobs)

    def is_watched(self, run_id: UUID) -> bool:
        """Whether anybody watches the job."""
        return run_id in self._jobs

    def _of(self, run_id: UUID) -> list[Subscription]:
        job = self._jobs.get(run_id)
        return list(job.subscriptions) if job else []

    def _all(self) -> list[Subscription]:
        return [subscription for job in list(self._jobs.values()) for subscription in job.subscriptions]
