"""Metrics as lists have them: a page of a job's summaries."""

from uuid import UUID

from sqlalchemy import true

from . import pages, queries
from .models import Metric

ORDERS: pages.Columns = {"trained": (Metric.attempt, Metric.n)}
"""In the order in which the job was trained."""


def of_run(run_id: UUID, attempt: int | None, behaviour: str | None, asked: pages.Asked) -> pages.Page[Metric]:
    """As `queries.metrics_of`, and of one behaviour where one is said."""
    wanted = queries.metrics(run_id, attempt).where(Metric.behaviour == behaviour if behaviour else true())
    found = pages.of_query(wanted, ORDERS, asked)
    return pages.Page([row[0] for row in found.rows], found.cursor)
