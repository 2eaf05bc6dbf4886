"""The recorder: consumes what nodes report from a durable queue, in batches; beside it run the relay and the sweeper.

A batch is acknowledged after its commit, so a crash costs nothing: the broker delivers it again, and what was recorded
before inserts nothing.
"""

import logging
import threading
import time
from typing import Any, NamedTuple

from celery import Celery
from flask import Flask
from kombu import Connection, Consumer
from kombu.mixins import ConsumerMixin
from sqlalchemy.exc import SQLAlchemyError

from wire.codec import NotAMessage, decode
from wire.facts import BadFact, Fact, facts_from_wire
from wire.names import EVENT_TYPE
from wire.rejected import MAX_BODY_CHARACTERS, MAX_BYTES
from wire.sender import sender_of

from . import broker_words, pulses
from .broker import EVENT_QUEUE
from .connections import AWAY
from .extensions import db
from .pipeline import record
from .pipeline.receiver import deliver
from .pipeline.reports import FactsReported
from .senders import Senders

log = logging.getLogger(__name__)
SOURCE = "events"
PREFETCH = 500
WINDOW_SECONDS = 0.02
"""How long a batch waits for more after its first message: the price in latency of storing before telling."""
BEAT_SECONDS = 10.0
BATCH_BYTES = 64 * 1024 * 1024
"""So much is held in memory at once, however many messages it is."""
LONGEST_PAUSE_SECONDS = 30.0


class Beginning(bytes):
    """What is kept of a message that is too large; `size` is how large."""

    size: int


class Came(NamedTuple):
    """A message, and the user at the broker who has sent it."""

    body: Any
    sender: str | None = None


class Recorder(ConsumerMixin):
    """The consumer of the event queue. Runs in the main thread until `should_stop`."""

    def __init__(self, app: Flask, celery: Celery) -> None:
        self.connection: Connection = celery.connection_for_read(heartbeat=60)
        self._app = app
        self._senders = Senders(self.connection.userid or "")
        self._batch: list[Any] = []
        self._bytes = 0
        self._since = 0.0

    def run(self, *_: Any, **__: Any) -> None:
        """Through everything the broker does: each time it consumes anew, and what was not acknowledged comes again."""
        pause = 1.0
        while not self.should_stop:
            began = time.monotonic()
            try:
                for _turn in self.consume():
                    pass
            except Exception as error:  # whatever it is, nothing is recorded while this stands still
                pause = 1.0 if time.monotonic() > began + 60 else min(pause * 2, LONGEST_PAUSE_SECONDS)
                log.error("%s The recorder begins again in %.0f s.", broker_words.sentence(error), pause,
                          exc_info=not isinstance(error, broker_words.KNOWN))  # fmt: skip
                self._rest(pause)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.should_stop and time.monotonic() < until:
            time.sleep(0.2)

    def get_consumers(self, consumer: type[Consumer], channel: Any) -> list[Consumer]:
        return [consumer(EVENT_QUEUE, on_message=self._collect, prefetch_count=PREFETCH)]

    def on_connection_revived(self) -> None:
        """What was not acknowledged comes again on the new connection."""
        self._batch.clear()
        self._bytes = 0

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        log.warning("RabbitMQ is away (%s); trying again in %.0f s.", exc, interval)

    def consume(self, limit: Any = None, timeout: Any = None, safety_interval: Any = 1, **options: Any) -> Any:
        """kombu's loop with a batch at its end: wait for a message, take what comes within the window, record."""
        with self.consumer_context(**options) as (connection, _, _):
            beaten = time.monotonic()
            while not self.should_stop:
                self._drain(connection, self._patience())
                if self._is_full():
                    self._record(connection)
                if time.monotonic() - beaten > BEAT_SECONDS:  # also while messages flow
                    connection.heartbeat_check()
                    self._beat()
                    beaten = time.monotonic()
                yield

    def _beat(self) -> None:
        """To PostgreSQL: facts are taken."""
        try:
            with self._app.app_context():
                pulses.beat(pulses.RECORDER, pulses.RECORDER_GAP)
        except SQLAlchemyError as error:
            log.warning("PostgreSQL is away: %s", str(error).splitlines()[0])

    def _drain(self, connection: Connection, timeout: float) -> None:
        try:
            connection.drain_events(timeout=timeout)
        except TimeoutError:
            return  # nothing came

    def _patience(self) -> float:
        return max(0.0005, self._since + WINDOW_SECONDS - time.monotonic()) if self._batch else 1.0

    def _is_full(self) -> bool:
        enough = (
            len(self._batch) >= PREFETCH
            or self._bytes >= BATCH_BYTES
            or time.monotonic() - self._since >= WINDOW_SECONDS
        )
        return bool(self._batch) and enough

    def _collect(self, message: Any) -> None:
        if not self._batch:
            self._since = time.monotonic()
        if len(message.body) > MAX_BYTES:
            message.body = _beginning(message.body)
        self._bytes += len(message.body)
        self._batch.append(message)

    def _record(self, connection: Connection) -> None:
        while not self.should_stop:
            try:
                with self._app.app_context():
                    record_messages([Came(it.body, sender_of(it.properties)) for it in self._batch], self._senders)
                break
            except AWAY as error:
                log.warning("PostgreSQL is away, %s messages wait: %s", len(self._batch), str(error).splitlines()[0])
                self._listen(connection, 1.0)
        else:
            return  # not recorded, not acknowledged: the broker keeps them
        self._batch[-1].ack(multiple=True)
        self._batch, self._bytes = [], 0

    def _listen(self, connection: Connection, seconds: float) -> None:
        """To what the broker says meanwhile: heartbeats, more messages while there is room, its farewell."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._bytes >= BATCH_BYTES:
                time.sleep(left)
            else:
                self._drain(connection, left)
        connection.heartbeat_check()


def record_messages(messages: list[Came], senders: Senders) -> None:
    """Records a batch; where one message makes the batch fail, that one is set aside and the rest is recorded.

    Raises one of AWAY while PostgreSQL is away.
    """
    try:
        _record_all(messages, senders)
    except AWAY:
        db.session.rollback()
        raise
    except Exception as error:  # a message that only the database could refuse
        db.session.rollback()
        if len(messages) > 1:
            for message in messages:
                record_messages([message], senders)
            return
        log.exception("A message can't be recorded and is set aside.")
        record.reject(SOURCE, repr(error), messages[0].body)
        db.session.commit()


def _record_all(messages: list[Came], senders: Senders) -> None:
    facts: list[Fact] = []
    for message in messages:
        try:
            facts += _vouched_for(message, senders)
        except (NotAMessage, BadFact) as error:
            record.reject(SOURCE, str(error), message.body)
    if facts:
        deliver(FactsReported(facts))
    db.session.commit()


def facts_in(body: Any) -> list[Fact]:
    """Those of a message, whoever has sent it. Raises NotAMessage, and BadFact."""
    if isinstance(body, Beginning):
        raise BadFact(f"The message has {body.size} bytes; at most {MAX_BYTES} are taken.")
    message = decode(body)
    if message.get("type") != EVENT_TYPE:
        raise BadFact(f"An event of the type {str(message.get('type'))[:80]!r} is not known here.")
    return facts_from_wire(message)


def _vouched_for(came: Came, senders: Senders) -> list[Fact]:
    facts = facts_in(came.body)
    if facts and (why := senders.why_not(facts[0].run_id, facts[0].attempt, came.sender)):
        raise BadFact(why)
    return facts


def _beginning(body: Any) -> Beginning:
    some = body[:MAX_BODY_CHARACTERS]
    its = Beginning(some.encode("utf-8", "replace") if isinstance(some, str) else some)
    its.size = len(body)
    return its


def run_beside(recorder: Recorder, *loops: Any) -> None:
    """Runs the loops in threads beside the recorder, and stops them with it."""
    stop = threading.Event()
    threads = [threading.Thread(target=loop, args=(stop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        recorder.run()
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
