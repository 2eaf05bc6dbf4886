"""What Flower hears of: a node may send it anything, and what it can't make sense of would end its listening for a
while, or break a page until it is restarted. Only what a Celery worker says gets through, and so much of it.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from celery.events import EventReceiver
from flower import events

from wire import names

OF_TASKS = {f"task-{it}" for it in ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked",
                                    "retried")}  # fmt: skip
OF_WORKERS = {f"worker-{it}" for it in ("online", "heartbeat", "offline")}
TASKS = [None, *(its for name, its in vars(names).items() if name.startswith("TASK_"))]
NUMBERS = ("timestamp", "utcoffset", "clock", "pid", "freq", "active", "processed", "runtime", "retries")
MOST_WORKERS = 1_000
"""For each of them Flower keeps counters for good."""
MOST_FIELDS, MOST_CHARACTERS, LONGEST_NAME = 50, 32_000, 200
LARGEST_NUMBER = 1e11
"""As a time that is after the year 5000; beyond, there are no dates."""


def listen_safely() -> None:
    """In this process, from now on."""
    events.EventReceiver = Receiver


class Receiver(EventReceiver):
    """Celery's, which looks at what it gets."""

    def __init__(self, *args: Any, **its: Any) -> None:
        super().__init__(*args, **its)
        self._workers: set[str] = set()

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        return [consumer(queues=[self.queue], on_message=self._take, no_ack=True)]

    def _take(self, message: Any) -> None:
        for event in events_in(message.body):
            if self._is_of_a_known_one(event["hostname"]):
                self._receive(event, message)

    def _is_of_a_known_one(self, worker: str) -> bool:
        if len(self._workers) < MOST_WORKERS:
            self._workers.add(worker)
        return worker in self._workers


def events_in(body: str | bytes) -> Iterator[dict[str, Any]]:
    """Those of a message that a worker could have sent."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return
    for event in said if isinstance(said, list) else [said]:
        if isinstance(event, dict) and fits(event):
            yield event


def fits(event: dict[str, Any]) -> bool:
    """Whether Flower can show it."""
    kind, name = event.get("type"), event.get("name")
    if not isinstance(kind, str) or kind not in OF_TASKS | OF_WORKERS or name not in TASKS:
        return False
    named = [event.get("hostname"), *([event.get("uuid")] if kind in OF_TASKS else [])]
    return (
        all(isinstance(it, str) and 0 < len(it) <= LONGEST_NAME for it in named)
        and _is_small(event)
        and all(_is_number(event[it]) for it in NUMBERS if event.get(it) is not None)
    )


def _is_small(event: dict[str, Any]) -> bool:
    size = sum(len(value) for value in event.values() if isinstance(value, str))
    simple = (_is_simple(value) for name, value in event.items() if name != "loadavg")
    load = event.get("loadavg") or []
    is_load = isinstance(load, list) and len(load) <= 3 and all(map(_is_number, load))
    return len(event) <= MOST_FIELDS and size <= MOST_CHARACTERS and is_load and all(simple)


def _is_simple(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < LARGEST_NUMBER
