"""RabbitMQ's settings that would break a promise: found at the recorder's start and whenever RabbitMQ comes back, and
named in its log; and by the command `flask --app wsgi broker check`.

How long RabbitMQ waits for an acknowledgement it does not tell. So one message is kept without, as a canary: when
RabbitMQ's patience ends, it is this one's channel that is closed, and the reason says how long it was.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

from amqp.exceptions import ChannelError, ConsumerCancelled, PreconditionFailed
from celery import Celery

from wire.broker_check import COORDINATOR, Trouble, troubles
from wire.names import OUTCOME_EXCHANGE

from . import broker_words

log = logging.getLogger(__name__)
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0
OLDEST = (3, 10)
CANARY_ARGUMENTS = {"x-queue-type": "quorum", "x-expires": 600_000}
"""Quorum: RabbitMQ 4.3 and later wait without end for consumers of classic queues."""


class BrokerWatch:
    """One thread of the recorder. Nothing that it finds stops anybody."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; checks once for each time that RabbitMQ is there."""
        pause = SHORTEST_PAUSE_SECONDS
        while not stop.is_set():
            connection = self._celery.connection_for_read(heartbeat=30)
            try:
                connection.connect()
                pause = SHORTEST_PAUSE_SECONDS
                for trouble in look(connection):
                    log.error("%s %s", trouble.what, trouble.advice)
                keep_canary(connection, stop.is_set, log.error)
            except Exception as error:  # RabbitMQ is away, most often: it is checked when it is back
                log.warning("RabbitMQ's settings are checked later: %s", broker_words.sentence(error))
            finally:
                connection.collect()
            stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def look(connection: Any) -> Iterator[Trouble]:
    """All that can be found at once."""
    version = version_of(connection)
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        yield Trouble(f"RabbitMQ is {version}.", "3.10 is the oldest that this works with.")
    yield from troubles(connection, COORDINATOR)


def version_of(connection: Any) -> str:
    """As in "4.0.5"."""
    return str(connection.connection.server_properties.get("version", "0"))


def keep_canary(connection: Any, is_over: Callable[[], bool], say: Callable[[str], object]) -> None:
    """Until it is over. Says in a sentence when RabbitMQ was out of patience, which happens once a connection."""
    queue = f"canary.{uuid4().hex}"
    try:
        _arm(connection.channel(), queue)
    except ChannelError as error:  # a right is missing, which the check has named already
        say(f"Whether RabbitMQ waits long enough for acknowledgements can't be seen. {broker_words.sentence(error)}")
    beaten = began = time.monotonic()
    while not is_over():
        try:
            with suppress(TimeoutError):
                connection.drain_events(timeout=1)
        except PreconditionFailed as error:
            say(broker_words.sentence(error))
        except ConsumerCancelled:  # as RabbitMQ 4.3 says it
            say(f"RabbitMQ has cancelled a consumer whose message was not acknowledged for "
                f"{time.monotonic() - began:.0f} s. {broker_words.consumer_timeout('')}")  # fmt: skip
        if time.monotonic() > beaten + 10:
            connection.heartbeat_check()
            beaten = time.monotonic()
    with suppress(Exception):  # it goes by itself, too
        connection.channel().queue_delete(queue)


def _arm(channel: Any, queue: str) -> None:
    channel.queue_declare(queue, durable=True, auto_delete=False, arguments=CANARY_ARGUMENTS)
    channel.queue_bind(queue, OUTCOME_EXCHANGE, queue)
    channel.basic_consume(queue, callback=lambda message: None)
    channel.basic_publish(channel.prepare_message(b"{}"), exchange=OUTCOME_EXCHANGE, routing_key=queue)
