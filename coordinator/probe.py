"""Has `results` taken what was in its queue? Asked before an attempt counts as lost: its outcome may wait there.

The question is a task in that queue, behind everything that came before it. No answer means: not yet.
"""

import logging
import time
from datetime import datetime

from celery import Celery
from sqlalchemy import func, select

from wire.names import TASK_PROBE

from . import pulses
from .extensions import db

log = logging.getLogger(__name__)
SERVICE = "results"
PATIENCE_SECONDS = 4.0
LOOK_SECONDS = 0.05
USELESS_AFTER_SECONDS = 10
"""No node is silent for so short a time: what answers a question of before has seen its outcome as well."""


class Probe:
    """Asks, and waits for the answer for a few seconds."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def __call__(self) -> bool:
        asked = _now()
        self._celery.send_task(TASK_PROBE, retry=False, expiration=USELESS_AFTER_SECONDS)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if pulses.was_seen_after(SERVICE, asked):
                return True
            time.sleep(LOOK_SECONDS)
        log.warning("Silent attempts are not given up yet: their outcomes may wait for the program `results`.")
        return False


def answer() -> None:
    """`results` has come to the question."""
    pulses.beat(SERVICE)


def _now() -> datetime:
    moment: datetime = db.session.execute(select(func.clock_timestamp())).scalar_one()
    db.session.commit()
    return moment
