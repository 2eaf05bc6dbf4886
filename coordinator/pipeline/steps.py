"""The order of the steps, in one table: the database, then S3, then the world. Each step can be repeated."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ..config import Config
from ..live.bus import Publisher
from ..storage import Storage
from . import episodes, files, record
from .archive import Archive
from .receiver import reported
from .reports import AttemptComplete, AttemptLost, FactsReported, FileUploaded, OutcomeReported, Report

Step = Callable[[Any], None]


def table(storage: Storage, tell: Callable[[Report], None], config: Config) -> dict[type[Report], list[Step]]:
    """What happens with each kind of report."""
    archive = Archive(storage, config)
    max_attempts = config.max_attempts
    return {
        FactsReported: [record.facts, tell],
        OutcomeReported: [record.outcome],
        FileUploaded: [
            archive.keep_file,
            partial(files.record, config.checkpoints_kept),
            episodes.record,
            tell,
            archive.clear_file,
        ],
        AttemptComplete: [archive.keep, partial(record.ending, max_attempts), tell],
        AttemptLost: [partial(record.loss, max_attempts), tell],
    }


def connect(storage: Storage, publisher: Publisher, config: Config) -> None:
    """Connects the pipeline to the signal, once in each process that receives reports."""

    def tell(report: Report) -> None:
        publisher.publish(report.told)
        if isinstance(report, FactsReported):
            publisher.publish_logs(report.logged)

    steps = table(storage, tell, config)

    def run(report: Report, **_: object) -> None:
        for step in steps[type(report)]:
            step(report)

    reported.connect(run, weak=False, dispatch_uid="pipeline")
