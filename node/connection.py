"""The node's connections to RabbitMQ: back within seconds after an outage, however long it was."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection

LONGEST_PAUSE_SECONDS = 5


class Returning(Connection):
    """kombu's own pauses between two tries grow to 30 s, in which jobs would wait for nodes that are there."""

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        pauses = {"interval_start": 1, "interval_step": 1, "interval_max": LONGEST_PAUSE_SECONDS}
        return super().ensure_connection(*args, **pauses | options)


class Amqp(AMQP):
    """What the Celery app makes its connections with."""

    Connection = Returning
