"""The Celery app of the coordinator as a process runs it: the `results` worker, Flower, `celery inspect`."""

from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from wire.settings import WORKER_CONTROL

from . import audit, broker, outcome_consumer, tasks
from .app import create_app
from .parts import parts
from .pipeline import steps
from .verification import limits_of


def create_worker() -> Celery:
    """The Celery app with its tasks, and the pipeline connected. Raises BadConfiguration."""
    app = create_app()
    app.config[audit.PROGRAM] = "results"
    its = parts(app)
    celery = broker.make_celery(its.config.broker_url, "results", its.config.broker_files)
    tasks.register(celery, app)
    tasks.register_verification(celery, app, its.storage, limits_of(its.config))
    celery.conf.worker_consumer = outcome_consumer.make_consumer(app, broker.user_of(its.config.broker_url))
    steps.connect(its.storage, its.publisher, its.config)

    @celeryd_init.connect(weak=False)
    def become_worker(conf: Any = None, **_: Any) -> None:
        conf.update(WORKER_CONTROL)  # Flower and `celery inspect` use the same app and must not have these

    return celery
