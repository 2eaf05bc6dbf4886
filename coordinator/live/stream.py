"""The events of a job in order, each once, for one socket: first the record, then live. Pure but for its `read`."""

from collections.abc import Callable, Iterator

from .hub import Item, Subscription

Read = Callable[[int], list[Item]]
"""The next page of the record after a number."""


def follow(subscription: Subscription, after: int, read: Read, wait_seconds: float) -> Iterator[list[Item]]:
    """Yields the next events; an empty list when none came for `wait_seconds`, so that the caller can look around.

    Subscribe before the first read: what is stored in between comes twice and is sent once.
    """
    subscription.cursor = after
    yield from _catch_up(subscription, read)
    yield []
    while True:
        items = subscription.take(wait_seconds)
        fresh = None if items is None else [item for item in items if item[0] > subscription.cursor]
        if fresh is None or _has_gap(fresh, subscription.cursor):
            yield from _catch_up(subscription, read)
            yield []
        else:
            if fresh:
                subscription.cursor = fresh[-1][0]
            yield fresh


def _catch_up(subscription: Subscription, read: Read) -> Iterator[list[Item]]:
    while page := read(subscription.cursor):
        subscription.cursor = page[-1][0]
        yield page


def _has_gap(items: list[Item], cursor: int) -> bool:
    return any(item[0] != cursor + place for place, item in enumerate(items, start=1))
