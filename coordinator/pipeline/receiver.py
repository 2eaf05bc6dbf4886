"""Where reports come in: one Celery signal, sent by the event consumer and by the result callbacks alike.

`Signal.send` logs and swallows what its receivers raise. `deliver` looks at their answers, so that whoever holds the
message keeps it when a handler failed. Optional listeners may connect beside the pipeline's own handler.
"""

from celery.utils.dispatch import Signal

from .reports import Report

reported = Signal(name="reported", providing_args={"report"})


def deliver(report: Report) -> None:
    """Hands a report to everybody connected. Raises what the first failing receiver raised."""
    for _, answer in reported.send(sender=type(report), report=report):
        if isinstance(answer, Exception):
            raise answer
