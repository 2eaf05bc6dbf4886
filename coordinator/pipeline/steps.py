"""The order of the steps, in one table: the database, then S3, then the world. Each step can be repeated."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..live.bus import Publisher
from ..storage import Storage
from . import archive, record
from .receiver import reported
from .reports import AttemptComplete, AttemptLost, FactsReported, OutcomeReported, Report

Step = Callable[[Any], None]


def table(storage: Storage, tell: Callable[[Report], None], max_attempts: int) -> dict[type[Report], list[Step]]:
    """What happens with each kind of report."""
    return {
        FactsReported: [record.facts, tell],
        OutcomeReported: [record.outcome],
        AttemptComplete: [partial(archive.keep, storage), partial(record.ending, max_attempts), tell],
        AttemptLost: [partial(record.loss, max_attempts), tell],
    }


def connect(storage: Storage, publisher: Publisher, max_attempts: int) -> None:
    """Connects the pipeline to the signal, once in each process that receives reports."""

    def tell(report: Report) -> None:
        publisher.publish(report.told)

    steps = table(storage, tell, max_attempts)

    def run(report: Report, **_: object) -> None:
        for step in steps[type(report)]:
            step(report)

    reported.connect(run, weak=False, dispatch_uid="pipeline")
