"""What builds say of their world, from the nodes' bridges to the sockets of this process: only of jobs watched here.

A queue of this process's own is bound to each watched job. It is bounded and never acknowledged: nothing that a slow
process has not read makes the broker or a node wait. The connection is its own, too, so that a burst of large messages
does not stand before the events.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from kombu import Connection

from wire.names import STATE_EXCHANGE as EXCHANGE
from wire.sender import sender_of

from ..broker import STATE_EXCHANGE, Connect
from .frames import looks_like_an_object, text_frame
from .hub import Hub

log = logging.getLogger(__name__)
MAX_STATE_BYTES = 4 * 1024 * 1024
QUEUE_ARGUMENTS = {
    "x-max-length": 20_000, "x-max-length-bytes": 64 * 1024 * 1024, "x-overflow": "drop-head",
}  # fmt: skip
HEARTBEAT_SECONDS, BEAT_EVERY = 30, 10.0
TRANSPORT = {"read_timeout": 10, "write_timeout": 10}
Genuine = Callable[[UUID, int, str | None], bool]
"""Whether that user at the broker speaks for that attempt."""


class StateListener:
    """Feeds a hub. All that is said to the broker is said by the thread that runs it; others ring a bell."""

    def __init__(self, connect: Connect, hub: Hub, is_genuine: Genuine) -> None:
        self._connect, self._hub, self._is_genuine = connect, hub, is_genuine
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def run(self, stopped: threading.Event) -> None:
        """Until `stopped`, through every absence of the broker. What is said meanwhile is lost: it was only live."""
        self._hub.on_change = self._ring
        while not stopped.is_set():
            connection = self._connect(connect_timeout=4, heartbeat=HEARTBEAT_SECONDS, transport_options=TRANSPORT)
            try:
                _Consumer(connection, self._hub, self._bell, self._is_genuine).run(stopped)
            except Exception as error:  # whatever it was, a fresh connection knows nothing of it
                log.warning("States of environments can't be received at the moment: %s", error)
                stopped.wait(1)
            finally:
                connection.collect()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it rings already
            self._button.send(b"!")


class _Consumer:
    """One connection's queue, with the bindings it has."""

    def __init__(self, connection: Connection, hub: Hub, bell: socket.socket, is_genuine: Genuine) -> None:
        self._connection, self._hub, self._bell, self._is_genuine = connection, hub, bell, is_genuine
        self._channel: Any = connection.default_channel
        self._channel.auto_decode = False
        self._bound: set[UUID] = set()
        self._queue = f"states.{socket.gethostname()}.{os.getpid()}.{uuid4().hex}"
        STATE_EXCHANGE(self._channel).declare()
        self._channel.queue_declare(self._queue, exclusive=True, auto_delete=True, arguments=QUEUE_ARGUMENTS)
        self._channel.basic_consume(self._queue, no_ack=True, callback=self._receive)

    def run(self, stopped: threading.Event) -> None:
        """Waits for messages and for the bell."""
        self._bind()
        beaten = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel.connection.sock, selectors.EVENT_READ, self._drain)
            selector.register(self._bell, selectors.EVENT_READ, self._answer_bell)
            while not stopped.is_set():
                for key, _ in selector.select(1.0):
                    key.data()
                if time.monotonic() - beaten > BEAT_EVERY:
                    self._connection.heartbeat_check()
                    beaten = time.monotonic()

    def _drain(self) -> None:
        """What has come, message by message, as far as it is complete."""
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=1)

    def _answer_bell(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4_096)
        self._bind()

    def _bind(self) -> None:
        """Makes the bindings those of the jobs that are watched. Nothing is waited for, so it takes no time."""
        wanted = set(self._hub.watched())
        for run_id in wanted - self._bound:
            self._channel.queue_bind(self._queue, EXCHANGE, str(run_id), nowait=True)
        for run_id in self._bound - wanted:
            self._channel.queue_unbind(self._queue, EXCHANGE, str(run_id), nowait=True)
        self._bound = wanted

    def _receive(self, message: Any) -> None:
        try:
            run_id, attempt = UUID(message.delivery_info["routing_key"]), int(message.headers["attempt"])
        except Exception as error:  # bytes from anywhere: the next message may be a good one
            log.warning("A state without run or attempt came: %r", error)
            return
        if not self._hub.is_watched(run_id):
            return
        if not self._is_genuine(run_id, attempt, sender_of(message.properties)):
            log.warning("What came as a state of run %s is not from the node that trains it.", run_id)
            return
        body = bytes(message.body or b"")
        if looks_like_an_object(body, MAX_STATE_BYTES):
            self._hub.pass_on(run_id, attempt, text_frame(body))
        else:
            log.warning("What came as a state of run %s is no JSON object of at most %s bytes.", run_id,
                        MAX_STATE_BYTES)  # fmt: skip
