"""A Celery worker's consumer that sets aside what is not one of our tasks; mixed into Celery's own class on both sides.

Messages are put aside by a thread, so that the worker's loop never waits for the place where they are kept, and are
acknowledged when they are there.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .rejected import Rejected, task_of

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class Aside:
    """The thread. `keep` gets what waits, at most so many messages at once, and raises while the place is not to be
    reached."""

    def __init__(self, keep: Callable[[list[Rejected]], None], most: int = 1) -> None:
        self._keep, self._most = keep, most
        self._waiting: queue.Queue[tuple[Rejected, Callable[[], object]]] = queue.Queue()
        self._thread: threading.Thread | None = None

    def put(self, rejected: Rejected, kept: Callable[[], object]) -> None:
        """Returns at once; `kept` is called when it is done. The broker's prefetching bounds how many wait."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aside", daemon=True)
            self._thread.start()
        self._waiting.put((rejected, kept))

    def forget(self) -> None:
        """What waits comes again: its connection is lost."""
        with suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()

    def _run(self) -> None:
        while True:
            some = self._next()
            while not self._are_kept([rejected for rejected, _ in some]):
                threading.Event().wait(RETRY_SECONDS)
            for _, kept in some:
                kept()

    def _next(self) -> list[tuple[Rejected, Callable[[], object]]]:
        """Waits for one, and takes with it what is there already."""
        some = [self._waiting.get()]
        with suppress(queue.Empty):
            while len(some) < self._most:
                some.append(self._waiting.get_nowait())
        return some

    def _are_kept(self, some: list[Rejected]) -> bool:
        try:
            self._keep(some)
        except Exception as error:  # whatever is away, the messages are still with the broker
            said = str(error).partition("\n")[0] or type(error).__name__
            log.warning("%s messages that nobody can use wait to be set aside: %s", len(some), said)
            return False
        for (source, reason), count in Counter((it.source, it.reason) for it in some).items():
            log.warning("On the queue %s, %s messages are set aside: %s", source, count, reason)
        return True


class SetsAside:
    """To be mixed into celery.worker.consumer.Consumer, before it."""

    source: str
    known: Mapping[str, Callable[..., object]]
    """The tasks that are taken; each function raises ValueError or TypeError for a content that is wrong."""
    aside: Aside

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        take = super().create_task_handler(*args, **kwargs)  # type: ignore[misc]

        def take_if_usable(message: Any) -> None:
            try:
                name, content = task_of(message, self.known)
                self.known[name](*content)
                self.check(message)
            except (ValueError, TypeError) as why:
                self.set_aside(message, str(why))
            else:
                take(message)

        return take_if_usable

    def check(self, message: Any) -> None:
        """What else a message must be. Raises ValueError."""

    def set_aside(self, message: Any, reason: str) -> None:
        """Keeps it, then acknowledges it in the worker's own thread."""

        def kept() -> None:
            me: Any = self
            me.call_soon_ack(message.ack_log_error, log, me.connection_errors)

        self.aside.put(Rejected.of(self.source, reason, message.body), kept)

    def on_close(self) -> None:
        self.aside.forget()
        super().on_close()  # type: ignore[misc]

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        self.set_aside(message, f"Its content can't be read: {exc}")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self.set_aside(message, "It is no task.")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        self.set_aside(message, f"The task {exc} is not known here.")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        self.set_aside(message, f"It is no task that can be run: {exc}")
