"""Hears all that nodes and the coordinator say over a broker, and holds it against the document of messages."""

import json
import threading
from contextlib import suppress
from typing import Any
from uuid import uuid4

from kombu import Connection, Consumer, Exchange, Queue

from tests import traffic
from wire import names
from wire.broker_check import NO_KEY

HEARD = (names.EVENT_EXCHANGE, names.OUTCOME_EXCHANGE, names.TRAIN_EXCHANGE, names.STATE_EXCHANGE)


class Overhearing(threading.Thread):
    """Between `with` and its end; `heard` counts the messages by name."""

    def __init__(self, broker_url: str) -> None:
        super().__init__(name="overhearing", daemon=True)
        self._connection = Connection(broker_url)
        self._ended = threading.Event()
        self.heard: dict[str, int] = {}

    def __enter__(self) -> "Overhearing":
        traffic.messages()
        channel = self._connection.channel()
        queues = [Queue(f"heard.{name}.{uuid4()}", Exchange(name, type="topic"), "#", exclusive=True, auto_delete=True)
                  for name in HEARD]  # fmt: skip
        bound = [queue(channel) for queue in queues]
        self._consumer = Consumer(channel, bound, on_message=self._hear, no_ack=True, accept=["json"])
        self._consumer.consume()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(5)
        self._connection.collect()

    def run(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=0.5)

    def _hear(self, message: Any) -> None:
        if message.delivery_info["routing_key"] == NO_KEY:
            return  # a program tries what the broker lets it do
        body = message.body if isinstance(message.body, str) else bytes(message.body)
        exchange, content = message.delivery_info["exchange"], json.loads(body)
        if exchange == names.EVENT_EXCHANGE:
            for event in content if isinstance(content, list) else [content]:
                if event.get("type") == names.EVENT_TYPE:
                    self._look("training-facts", {name: event[name] for name in ("type", "run_id", "attempt", "facts")})
        elif exchange == names.STATE_EXCHANGE:
            self._look("state", content)
        elif "task" in message.headers:
            self._look(message.headers["task"].replace(".", "-"), content)

    def _look(self, name: str, content: Any) -> None:
        self.heard[name] = self.heard.get(name, 0) + 1
        traffic.violations.extend(traffic.errors_of_message(name, content))
