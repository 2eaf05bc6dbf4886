"""The node's connections to RabbitMQ: back within seconds after an outage, however long it was, and with its user on
all that it sends."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection

from wire import tls
from wire.sender import signing

from .config import Config

LONGEST_PAUSE_SECONDS = 5


class Returning(Connection):
    """kombu's own pauses between two tries grow to 30 s, in which jobs would wait for nodes that are there."""

    def __init__(self, hostname: Any = "localhost", *args: Any, **options: Any) -> None:
        if str(hostname).startswith("amqp://") and not options.get("transport"):
            # else kombu looks each time for another library, and holds a lock of Python's imports meanwhile; a pool
            # child that is forked at that moment would wait for that lock for ever
            options["transport"] = "pyamqp"
        super().__init__(hostname, *args, **options)
        self.transport_cls = signing(self.get_transport_cls())  # which the connections of Celery's pools take over

    def as_uri(self, *args: Any, **options: Any) -> str:
        """With the address's own scheme, not the name of our class: it stands in logs."""
        return f"{'amqps' if self.ssl else 'amqp'}://{super().as_uri(*args, **options).partition('://')[2]}"

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        pauses = {"interval_start": 1, "interval_step": 1, "interval_max": LONGEST_PAUSE_SECONDS}
        return super().ensure_connection(*args, **pauses | options)


class Amqp(AMQP):
    """What the Celery app makes its connections with."""

    Connection = Returning


def connection(config: Config, **about: Any) -> Returning:
    """A connection of its own, beside Celery's."""
    return Returning(config.broker_url, ssl=tls.options(config.broker_url, config.broker_files), **about)
