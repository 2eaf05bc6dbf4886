"""The events of a job in order, each once, for one socket: first the record, then live. Pure but for its `read`.

What is only passed on stands between the events as it came; it is in no record.
"""

from collections.abc import Callable, Iterator

from .subscription import PASSED_ON, Item, Subscription

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
        events = None if items is None else [item for item in items if item[0] > subscription.cursor]
        if items is None or events is None or _has_gap(events, subscription.cursor):
            yield from _catch_up(subscription, read)
            yield [item for item in items or () if item[0] == PASSED_ON]
        else:
            newest = subscription.cursor
            if events:
                subscription.cursor = events[-1][0]
            yield [item for item in items if item[0] > newest or item[0] == PASSED_ON]


def _catch_up(subscription: Subscription, read: Read) -> Iterator[list[Item]]:
    while page := read(subscription.cursor):
        subscription.cursor = page[-1][0]
        yield page


def _has_gap(items: list[Item], cursor: int) -> bool:
    return any(item[0] != cursor + place for place, item in enumerate(items, start=1))
