"""The Celery app of a training node: `celery -A celery_app:node worker`.

It knows only what a node needs: the queue of trainings and the exchange for outcomes.
"""

import os

from amqp import method_framing
from celery import Celery

from wire import log_lines, names, tls
from wire.rejected import readable
from wire.settings import SETTINGS

from . import rejections, signals, tasks
from .config import Config
from .connection import Amqp
from .drain import Drain
from .queues import declare_nothing, outcome_queue, train_queue


def create_worker(config: Config | None = None) -> Celery:
    """The app with its task and signals. Raises BadConfiguration."""
    log_lines.install()
    config = config or Config.from_environment()
    celery = Celery("train_jobs", broker=config.broker_url, backend="disabled://", amqp=Amqp)
    celery.conf.update(SETTINGS)
    transport = dict(SETTINGS["broker_transport_options"])
    transport["client_properties"] = {"connection_name": f"node {config.node_name}:{os.getpid()}"}
    celery.conf.update(
        broker_transport_options=transport,
        broker_use_ssl=tls.options(config.broker_url, config.broker_files),
        task_queues=[train_queue(), outcome_queue()],
        task_default_queue=names.TRAIN_QUEUE,
        task_routes={"coord.*": {"queue": names.OUTCOME_QUEUE}, "train.*": {"queue": names.TRAIN_QUEUE}},
        worker_prefetch_multiplier=1,
        # a node that is cut off is handed messages, for which it has a slot free, until the broker has missed three of
        # its heartbeats: sooner than its leases end, or its own jobs would be sent to it once more
        broker_heartbeat=6,
        worker_max_tasks_per_child=1,  # each training starts in a fresh process
        worker_proc_alive_timeout=60,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a broker's restart never ends a training
        # the outcome must survive an outage: a large number, since Celery caps "for ever" to three tries
        task_publish_retry_policy={
            "max_retries": 10**6, "interval_start": 0.5, "interval_step": 1, "interval_max": 10,
        },
        # nobody tells a node what to do over RabbitMQ, where whoever may write to Celery's exchange tells all workers
        worker_enable_remote_control=False,
    )  # fmt: skip
    declare_nothing()
    celery.conf.worker_consumer = rejections.make_consumer(celery)
    method_framing.Message = readable(method_framing.Message)
    drain = Drain()
    tasks.register(celery, config, drain)
    signals.connect(celery, config, drain)
    return celery
