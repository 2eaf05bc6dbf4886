"""Between processes: a broker fanout from whoever stores events to every web process.

Publishing never waits and never fails: at the bound, or while the broker is away, messages are dropped. Readers find
the gap and repair it from PostgreSQL.
"""

import logging
import os
import queue
import socket
import threading
from collections.abc import Iterable
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

from kombu import Consumer, Queue
from kombu.mixins import ConsumerMixin

from wire.codec import decode, encode

from ..broker import FANOUT_EXCHANGE, Connect
from ..ledger import Logged, Told
from .hub import Hub
from .subscription import Piece

log = logging.getLogger(__name__)
BACKLOG = 10_000
TRANSPORT = {"read_timeout": 10, "write_timeout": 10}


class Publisher:
    """Publishes from a thread of its own, made at first use (after a fork, a process makes its own)."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue(BACKLOG)
        self._started_in = 0
        self._lock = threading.Lock()

    def publish(self, told: Iterable[Told]) -> None:
        """Sends events on their way, all in one message."""
        told = list(told)
        events = [[str(t.run_id), t.seq, t.final, t.frame] for t in told]
        if events:
            self._send({"events": events, "attempts": {str(t.run_id): t.attempt for t in told}})

    def publish_logs(self, logged: Iterable[Logged]) -> None:
        """Sends pieces of logs on their way, all in one message."""
        if pieces := [[str(one.run_id), one.attempt, one.before, one.n, one.frame] for one in logged]:
            self._send({"events": [], "logs": pieces})

    def _send(self, message: dict[str, Any]) -> None:
        self._start()
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            log.warning("The fanout is %s messages behind; web processes will read from PostgreSQL.", BACKLOG)

    def _start(self) -> None:
        with self._lock:
            if self._started_in != os.getpid():
                self._started_in = os.getpid()
                threading.Thread(target=self._run, name="fanout-publisher", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                with self._connect(connect_timeout=4, transport_options=TRANSPORT) as connection:
                    producer = connection.Producer(exchange=FANOUT_EXCHANGE, auto_declare=True)
                    while True:
                        body = encode(self._queue.get())
                        producer.publish(body, content_type="application/json", content_encoding="utf-8",
                                         delivery_mode="transient")  # fmt: skip
            except Exception as error:  # whatever it was, the next message tries again
                log.warning("The fanout could not be published to: %s", error)
                threading.Event().wait(1)


class Listener(ConsumerMixin):
    """Feeds the hub of one web process from a queue of its own that lives as long as its connection."""

    def __init__(self, connect: Connect, hub: Hub) -> None:
        self.connection = connect(connect_timeout=4, heartbeat=30)
        self._hub = hub

    def get_consumers(self, consumer: type[Consumer], channel: Any) -> list[Consumer]:
        """A fresh queue at each connection: a fixed name would be locked while an old connection dies slowly."""
        mine = Queue(
            f"web.{socket.gethostname()}.{os.getpid()}.{uuid4().hex}", FANOUT_EXCHANGE, durable=False, exclusive=True,
            auto_delete=True, queue_arguments={"x-max-length": 20_000, "x-overflow": "drop-head"},
        )  # fmt: skip
        return [consumer(mine, on_message=self._receive, no_ack=True)]

    def on_consume_ready(self, *_: Any, **__: Any) -> None:
        """Connected, perhaps again: what came meanwhile is lost to us."""
        self._hub.everybody_is_behind()

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        log.warning("RabbitMQ is away (%s); trying again in %.0f s.", exc, interval)

    def _receive(self, message: Any) -> None:
        try:
            body = decode(message.body)
            for run_id, attempt in body.get("attempts", {}).items():
                self._hub.note_attempt(UUID(run_id), int(attempt))
            for run_id, some in groupby(body.get("events", ()), key=lambda event: str(event[0])):
                self._hub.publish(UUID(run_id), [(int(seq), bool(final), str(frame)) for _, seq, final, frame in some])
            for run_id, attempt, before, n, frame in body.get("logs", ()):
                self._hub.publish_log(UUID(run_id), Piece((int(attempt), int(n)), int(before), str(frame)))
        except Exception as error:  # bytes from anywhere: the next message may be a good one
            log.warning("A message on the fanout could not be read: %r", error)
