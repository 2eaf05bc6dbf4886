"""The node's queues as kombu knows them: those that trainings come from, and the one for outcomes. The coordinator
declares them; a node has no right to, and waits until they are there."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed, NotFound
from celery import Celery
from celery.events import event
from kombu import Exchange, Queue

from wire import names

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
ITS_EXCHANGES = (names.EVENT_EXCHANGE, names.OUTCOME_EXCHANGE, names.STATE_EXCHANGE)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 10.0
NOT_LET_IN = (
    "RabbitMQ does not let this node in (%s): it was revoked, or enrolled anew. Whoever runs the coordinator enrolls "
    "it with `flask --app wsgi nodes enroll`, which prints what to run here; until then this node keeps what it has "
    "finished. The next try is in %.0f s."
)
MISSING = "RabbitMQ has not %s yet: the coordinator's program `recorder` makes it. This node waits."


def train_queue(name: str = names.TRAIN_QUEUE) -> Queue:
    """A queue of trainings; which there are beside the usual one, the coordinator says."""
    exchange = Exchange(names.TRAIN_EXCHANGE, type="topic", durable=True, no_declare=True)
    return Queue(name, exchange, name, queue_arguments=names.train_queue_arguments(name), no_declare=True)


def outcome_queue() -> Queue:
    """Where outcomes go, and news of files."""
    exchange = Exchange(names.OUTCOME_EXCHANGE, type="topic", durable=True, no_declare=True)
    return Queue(names.OUTCOME_QUEUE, exchange, names.OUTCOME_QUEUE, no_declare=True)


def declare_nothing() -> None:
    """In this process, from now on: nor does Celery declare the exchange of its events."""
    event.event_exchange.no_declare = True


def is_there(connection: Any, queue: str) -> bool:
    """Whether there is such a queue. On a channel of its own, which a no would end."""
    return _exists(connection, lambda channel: channel.queue_declare(queue, passive=True))


def missing(connection: Any) -> str | None:
    """What this node sends to and is not there, as in "the queue coord"."""
    for name in ITS_EXCHANGES:
        if not _exists(connection, lambda it, name=name: it.exchange_declare(name, "topic", passive=True)):  # type: ignore[misc]
            return f"the exchange {name}"
    return None if is_there(connection, names.OUTCOME_QUEUE) else f"the queue {names.OUTCOME_QUEUE}"


def until_let_in(connect: Callable[[], Any], pause: Callable[[float], object]) -> Any:
    """The connection. Where RabbitMQ does not take the login (any more), Celery itself tries several times a second."""
    seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            return connect()
        except (AccessRefused, NotAllowed) as error:
            log.error(NOT_LET_IN, str(error.reply_text or error).partition(".")[0], seconds)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pause(LOOK_SECONDS)
        seconds = min(seconds * 2, LONGEST_PAUSE_SECONDS)


def wait_for_all(connection: Any, pause: Callable[[float], object]) -> None:
    """Until everything that this node sends to is there: what is sent before would be lost, or break the connection."""
    told = None
    while lacking := missing(connection):
        if lacking != told:
            log.warning(MISSING, lacking)
            told = lacking
        pause(LOOK_SECONDS)
        connection.heartbeat_check()


def until_taken(celery: Celery) -> None:
    """Before an outcome is given to Celery, which would lose it where its queue is not there: a broker that has lost
    its data has none for a while."""
    while True:
        connection = celery.connection_for_write(heartbeat=0)
        try:
            connection.ensure_connection()
            return wait_for_all(connection, time.sleep)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            log.warning("An outcome waits for RabbitMQ: %s", error)
            time.sleep(LONGEST_PAUSE_SECONDS if isinstance(error, AccessRefused | NotAllowed) else LOOK_SECONDS)
        finally:
            connection.collect()


def _exists(connection: Any, look: Callable[[Any], object]) -> bool:
    channel = connection.channel()
    try:
        look(channel)
    except NotFound:
        return False
    with suppress(*connection.connection_errors):
        channel.close()
    return True
