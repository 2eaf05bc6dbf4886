"""RabbitMQ: the Celery app of the coordinator, its queues, and the sending of tasks. The owner of celery here."""

import os
import socket
from collections.abc import Callable
from typing import Any
from uuid import UUID

from amqp import method_framing
from amqp.exceptions import AMQPError, MessageNacked
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection, Exchange, Queue

from wire import names, tls
from wire.rejected import readable
from wire.sender import signing
from wire.settings import SETTINGS

LONGEST_PAUSE_SECONDS = 5
AWAY = (OSError, AMQPError)
TRAIN_EXCHANGE = Exchange(names.TRAIN_EXCHANGE, type="topic", durable=True)


def train_queue(name: str) -> Queue:
    """The queue of trainings of that name, which wire.names.train_queue has made."""
    return Queue(name, TRAIN_EXCHANGE, name, queue_arguments=names.train_queue_arguments(name))


def declare(name: str, channel: Any) -> Any:
    """Makes sure of that queue, which then does not count as unused; the answer has its message_count."""
    queue = train_queue(name)(channel)
    queue.exchange.declare()
    answer = queue.queue_declare()
    queue.queue_bind()
    return answer


TRAIN_QUEUE = train_queue(names.TRAIN_QUEUE)
OUTCOME_QUEUE = Queue(
    names.OUTCOME_QUEUE,
    Exchange(names.OUTCOME_EXCHANGE, type="topic", durable=True),
    names.OUTCOME_QUEUE,
    queue_arguments=names.OUTCOME_QUEUE_ARGUMENTS,
)
EVENT_QUEUE = Queue(
    # not among task_queues: a quorum queue there would change the prefetching of every worker
    names.EVENT_QUEUE,
    Exchange(names.EVENT_EXCHANGE, type="topic", durable=True),
    names.EVENT_ROUTING_KEY,
    queue_arguments=names.EVENT_QUEUE_ARGUMENTS,
)
STATE_EXCHANGE = Exchange(names.STATE_EXCHANGE, type="topic", durable=True)
FANOUT_EXCHANGE = Exchange(names.FANOUT_EXCHANGE, type="fanout", durable=True)


class Returning(Connection):
    """A connection that is back within seconds after an outage: kombu's own pauses between two tries grow to 30 s.
    What it publishes says whose it is."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
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


def connection(url: str, files: tls.Files = tls.NO_FILES, **about: Any) -> Returning:
    """A connection of its own, beside Celery's."""
    return Returning(url, ssl=tls.options(url, files), **about)


Connect = Callable[..., Any]
"""Makes such a connection to the broker of one app, with `about` as above."""


def user_of(url: str) -> str:
    """The broker's user whom this address logs in."""
    return Connection(url).userid or "guest"


def declare_all(channel: Any) -> None:
    """All that the coordinator and its nodes send to and take from: nodes may not declare anything themselves. Each
    connection that sends tasks does it anew, since a broker may come back without its data."""
    for queue in (TRAIN_QUEUE, OUTCOME_QUEUE, EVENT_QUEUE):
        queue(channel).declare()
    STATE_EXCHANGE(channel).declare()


def read_every_message() -> None:
    """In this process, from now on: a message whose properties can't be read does not end a connection."""
    method_framing.Message = readable(method_framing.Message)


def make_celery(broker_url: str, role: str, files: tls.Files = tls.NO_FILES) -> Celery:
    """The Celery app of a coordinator's process; `role` names its connections in RabbitMQ's management."""
    read_every_message()
    celery = Celery("train_jobs", broker=broker_url, backend="disabled://", amqp=Amqp)
    celery.conf.update(SETTINGS)
    transport = dict(SETTINGS["broker_transport_options"])
    transport["client_properties"] = {"connection_name": f"{role}@{socket.gethostname()}:{os.getpid()}"}
    celery.conf.update(
        broker_transport_options=transport,
        broker_use_ssl=tls.options(broker_url, files),
        task_queues=[TRAIN_QUEUE, OUTCOME_QUEUE],
        task_default_queue=names.OUTCOME_QUEUE,
        task_routes={"train.*": {"queue": names.TRAIN_QUEUE}, "coord.*": {"queue": names.OUTCOME_QUEUE}},
        worker_prefetch_multiplier=4,
        worker_cancel_long_running_tasks_on_connection_loss=True,  # short and idempotent: the redelivered copy runs
        event_queue_exclusive=True,
        broker_pool_acquire_timeout=5,
        task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    )
    return celery


class Confirms:
    """Which messages of a channel the broker has not confirmed yet. Confirms come in any order, some for several."""

    def __init__(self) -> None:
        self._newest = 0
        self._waiting: set[int] = set()

    def sent(self) -> None:
        """One more was published."""
        self._newest += 1
        self._waiting.add(self._newest)

    def acked(self, delivery_tag: int, multiple: bool) -> None:
        """With `multiple`, all up to this one, where 0 means all there are."""
        if multiple:
            self._waiting = {tag for tag in self._waiting if tag > delivery_tag > 0}
        else:
            self._waiting.discard(delivery_tag)

    def nacked(self, delivery_tag: int, multiple: bool) -> None:
        """Raises MessageNacked."""
        raise MessageNacked(f"RabbitMQ did not take message {delivery_tag}.")

    @property
    def are_complete(self) -> bool:
        return not self._waiting


class ConfirmedSender:
    """A connection on which many tasks are sent before the broker's confirms are waited for: one round trip a batch.

    Celery's own way waits for each. Any failure raises; the connection is then of no use, the caller makes a new one.
    """

    def __init__(self, celery: Celery) -> None:
        options = dict(celery.conf.broker_transport_options, confirm_publish=False)
        self._connection = celery.connection_for_write(heartbeat=0, transport_options=options)
        self.producer = celery.amqp.Producer(self._connection)
        channel = self.producer.channel
        declare_all(channel)
        channel.confirm_select()
        self._confirms = Confirms()
        channel.events["basic_ack"].add(self._confirms.acked)
        channel.events["basic_nack"].add(self._confirms.nacked)

    def __enter__(self) -> "ConfirmedSender":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.collect()  # without a word: the broker may not be listening

    def sent(self) -> None:
        """One more was published."""
        self._confirms.sent()

    def wait(self) -> None:
        """Until the broker has confirmed everything sent. Raises TimeoutError after ten seconds of silence.

        Raises ChannelError for a message that found no queue: somebody has deleted it, and connecting anew declares it.
        """
        while not self._confirms.are_complete:
            self._connection.drain_events(timeout=10)


def send_training(
    celery: Celery, producer: Any, run_id: UUID, attempt: int, priority: int, queue: str = names.TRAIN_QUEUE
) -> None:
    """The training task. Its result comes back by `link`, a lost worker by `link_error`.

    Its queue is declared with the first task that a connection sends to it.
    """
    celery.send_task(
        names.TASK_TRAIN,
        queue=train_queue(queue),
        kwargs={"run_id": str(run_id), "attempt": attempt},
        task_id=names.task_id(run_id, attempt),
        priority=priority,
        producer=producer,
        retry=False,
        mandatory=True,
        link=celery.signature(names.TASK_OUTCOME),
        # by name and with an argument of its own: published as a task, and never called inside the failing process
        link_error=celery.signature(names.TASK_LOST, args=(str(run_id), attempt)),
    )


def send_verify(celery: Celery, producer: Any, build_id: UUID) -> None:
    """The task that looks into a build that was uploaded."""
    kwargs = {"build_id": str(build_id)}
    celery.send_task(names.TASK_VERIFY, kwargs=kwargs, producer=producer, retry=False, mandatory=True)


def send_finish(celery: Celery, producer: Any, run_id: UUID, attempt: int) -> None:
    """The task that ends an attempt: artifacts to their final place, the job to its final state."""
    celery.send_task(
        names.TASK_FINISH, kwargs={"run_id": str(run_id), "attempt": attempt}, producer=producer, retry=False,
        mandatory=True,
    )  # fmt: skip
