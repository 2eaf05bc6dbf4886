"""The Celery app of the coordinator as a process runs it: for the `results` worker, for Flower, for `celery inspect`."""

from celery import Celery

from . import broker, tasks
from .app import create_app
from .parts import parts
from .pipeline import steps


def create_worker() -> Celery:
    """The Celery app with its tasks, and the pipeline connected. Raises BadConfiguration."""
    app = create_app()
    its = parts(app)
    celery = broker.make_celery(its.config.broker_url, "results")
    tasks.register(celery, app)
    steps.connect(its.storage, its.publisher, its.config.max_attempts)
    return celery
