"""What builds say, on its way to the web processes: sent at once, stored nowhere, dropped where it can't be sent."""

import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

from wire.names import STATE_EXCHANGE
from wire.settings import SETTINGS

from ..config import Config
from ..connection import connection

log = logging.getLogger(__name__)
JOB_BYTES, JOB_MESSAGES = 16 * 2**20, 2_000
"""Of one job that wait for the broker; the oldest go first."""
BATCH = 32
"""Taken at once."""
RECONNECT_SECONDS, TELL_SECONDS = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class State:
    """One message of a build."""

    run_id: str
    attempt: int
    instance: int
    content: bytes


class Waiting:
    """States between the connections and the broker. Jobs take turns, so that a loud one delays no other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: OrderedDict[str, deque[State]] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self._is_closed = False
        self._count = self._dropped = 0

    def put(self, state: State) -> None:
        """Returns at once."""
        with self._changed:
            mine = self._jobs.setdefault(state.run_id, deque())
            mine.append(state)
            self._bytes[state.run_id] = self._bytes.get(state.run_id, 0) + len(state.content)
            self._count += 1
            while len(mine) > 1 and (self._bytes[state.run_id] > JOB_BYTES or len(mine) > JOB_MESSAGES):
                self._bytes[state.run_id] -= len(mine.popleft().content)
                self._count -= 1
                self._dropped += 1
            self._changed.notify()

    def take(self) -> list[State]:
        """The next ones, once there is one; none when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_closed)
            return [] if self._is_closed else [self._next() for _ in range(min(BATCH, self._count))]

    def _next(self) -> State:
        run_id, mine = self._jobs.popitem(last=False)
        state = mine.popleft()
        self._count -= 1
        self._bytes[run_id] -= len(state.content)
        if mine:
            self._jobs[run_id] = mine
        else:
            del self._bytes[run_id]
        return state

    def clear(self) -> None:
        """Drops what waits: nobody wants to see the past late."""
        with self._changed:
            self._dropped += self._count
            self._count = 0
            self._jobs.clear()
            self._bytes.clear()

    def dropped(self) -> int:
        """How many were dropped since this was asked last."""
        with self._changed:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()


class States:
    """The sender of a bridge: a thread with a connection of its own, which comes back by itself."""

    def __init__(self, config: Config, name: str) -> None:
        self._config, self._name = config, name
        self._waiting = Waiting()
        self._tell_at = 0.0
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="states", daemon=True)
        self._thread.start()

    def say(self, state: State) -> None:
        """Returns at once, whatever the broker does."""
        self._waiting.put(state)

    def close(self) -> None:
        self._closed.set()
        self._waiting.close()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with self._connection() as its:
                    self._send_all(its)
            except Exception as error:
                log.warning("States of builds can't be sent, the next try is in %.0f s: %s", RECONNECT_SECONDS, error)
                self._closed.wait(RECONNECT_SECONDS)

    def _connection(self) -> Any:
        options = {**SETTINGS["broker_transport_options"], "confirm_publish": False,
                   "client_properties": {"connection_name": self._name}}  # fmt: skip
        timeout = SETTINGS["broker_connection_timeout"]
        return connection(self._config, connect_timeout=timeout, heartbeat=0, transport_options=options)

    def _send_all(self, its: Any) -> None:
        channel = its.default_channel
        self._waiting.clear()
        while states := self._waiting.take():
            for state in states:
                _publish(channel, state)
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        now = time.monotonic()
        if now >= self._tell_at and (dropped := self._waiting.dropped()):
            self._tell_at = now + TELL_SECONDS
            log.warning("%s states of builds could not be sent to viewers and were dropped.", dropped)


def _publish(channel: Any, state: State) -> None:
    """On the channel itself: kombu's producer takes half as long again."""
    message = channel.prepare_message(
        state.content, content_type="application/json", content_encoding="utf-8", properties={"delivery_mode": 1},
        headers={"run_id": state.run_id, "attempt": state.attempt, "instance": state.instance},
    )  # fmt: skip
    channel.basic_publish(message, exchange=STATE_EXCHANGE, routing_key=state.run_id)
