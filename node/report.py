"""The only mouth of an attempt: numbers each fact, keeps it on disk, and sends it from a thread of its own.

The file of facts is the queue: the trainer never waits for the network, a broker that is away costs disk and no
memory, and a node that was killed can still send what its last training had to say.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Producer

from wire.codec import decode, encode
from wire.facts import facts_to_wire
from wire.names import EVENT_TYPE, task_id

log = logging.getLogger(__name__)
BATCH = 200
BATCH_BYTES = 1024 * 1024
GATHER_SECONDS = 0.1
"""A fact after a pause is sent at once; while more keep coming, those of so long are sent together."""
LONGEST_PAUSE_SECONDS = 10.0
Numbered = tuple[int, dict[str, Any]]


class Spool:
    """The facts of an attempt on disk, one JSON object a line; the line's number is the fact's."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._file.seek(0)
        self.written = sum(1 for _ in self._file)
        self._reader = path.open("rb")

    def append(self, fact: dict[str, Any]) -> int:
        """Keeps a fact and returns its number."""
        self._file.write(encode(fact).encode() + b"\n")
        self._file.flush()
        self.written += 1
        return self.written

    def batch_after(self, sent: int) -> list[Numbered]:
        """The next facts in order; the reader stands behind number `sent`."""
        facts: list[Numbered] = []
        size = 0
        while sent + len(facts) < self.written and len(facts) < BATCH and size < BATCH_BYTES:
            line = self._reader.readline()
            size += len(line)
            facts.append((sent + len(facts) + 1, decode(line)))
        return facts

    def close(self) -> None:
        self._file.close()
        self._reader.close()


class Reporter:
    """Reports one attempt. `send` delivers a batch and returns once the broker has confirmed it."""

    def __init__(self, spool: Spool, send: Callable[[list[Numbered]], None]) -> None:
        self._spool, self._send = spool, send
        self._changed = threading.Condition()
        self._sent = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
        self._thread.start()

    def say(self, fact: dict[str, Any]) -> None:
        """Returns at once; the fact is on disk."""
        with self._changed:
            self._spool.append(fact)
            self._changed.notify_all()

    def finish(self, patience: float | None = None) -> int:
        """Waits until everything is confirmed (for ever, or so many seconds) and returns how many facts there were."""
        with self._changed:
            self._ended.set()
            self._changed.notify_all()
        self._thread.join(patience)
        return self._spool.written

    def _run(self) -> None:
        while batch := self._next():
            due = time.monotonic() + GATHER_SECONDS
            self._send_until_confirmed(batch)
            self._sent = batch[-1][0]
            self._ended.wait(max(0.0, due - time.monotonic()))

    def _next(self) -> list[Numbered]:
        with self._changed:
            self._changed.wait_for(lambda: self._ended.is_set() or self._spool.written > self._sent)
            return self._spool.batch_after(self._sent)

    def _send_until_confirmed(self, batch: list[Numbered]) -> None:
        pause = 0.5
        while True:
            try:
                return self._send(batch)
            except Exception as error:  # whatever the broker's trouble is, the facts are on disk and can wait
                log.warning("%s facts wait for the broker: %s", len(batch), error)
                threading.Event().wait(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Mandatory(Producer):
    """What finds no queue is an error, and sent again: a broker that has lost its data has none for a while."""

    def publish(self, body: Any, **options: Any) -> Any:
        return super().publish(body, **options | {"mandatory": True})


class EventSender:
    """Sends batches as Celery events, persistent and confirmed, over a connection of its own."""

    def __init__(self, celery: Celery, run_id: str, attempt: int) -> None:
        self._celery, self._run_id, self._attempt = celery, run_id, attempt
        self._dispatcher: Any = None

    def __call__(self, batch: list[Numbered]) -> None:
        """Raises whatever kombu raises; the next call connects anew."""
        try:
            self._connected().send(
                EVENT_TYPE, uuid=task_id(self._run_id, self._attempt),
                **facts_to_wire(self._run_id, self._attempt, batch),
            )  # fmt: skip
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Forgets the connection without a word to a broker that may not be listening."""
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            dispatcher.connection.collect()

    def _connected(self) -> Any:
        if self._dispatcher is None:
            connection = self._celery.connection_for_write(heartbeat=0)
            connection.ensure_connection(max_retries=1)
            self._dispatcher = self._celery.events.Dispatcher(connection, delivery_mode=2, buffer_while_offline=False)
            self._dispatcher.producer = Mandatory(connection, auto_declare=False)
        return self._dispatcher
