"""When a rerun has ended: what it has shown, kept with its job in the transaction that ends it."""

from .. import queries
from ..comparison import Run, compare
from ..extensions import db
from ..lifecycle import JobState
from ..models import Job, Metric

COMPARED = ("model", "checkpoint")


def conclude(job: Job) -> None:
    """Compares a locked job with the one that it repeats, if it has ended and that one is still there."""
    if job.rerun_of is None or not JobState(job.state).is_final:
        return
    original = db.session.get(Job, job.rerun_of)
    if original is None or original.deleted_at:
        gone = "The run that it repeats is no longer there, so there is nothing to compare with."
        job.comparison = {"identical": None, "metrics": None, "model": None, "checkpoint": None, "differences": [],
                          "summary": gone}  # fmt: skip
        return
    job.comparison = compare(_run(original), _run(job))


def _run(job: Job) -> Run:
    db.session.flush()
    attempts = [attempt for attempt, _ in queries.attempts_of(job.run_id)]
    bundles = [attempt.bundle for attempt in attempts if attempt.bundle]
    files = {kind: queries.newest_artifact(job.run_id, kind) for kind in COMPARED}
    return Run(
        job.state, job.error, len(attempts), bundles[-1] if bundles else None,
        [_measured(metric) for metric in queries.metrics_of(job.run_id)],
        {kind: its.sha256 for kind, its in files.items() if its},
    )  # fmt: skip


def _measured(metric: Metric) -> dict[str, object]:
    """All but `time_elapsed`, which is a clock's."""
    statistics = {f"statistics.{name}": value for name, value in metric.statistics.items()}
    return {"behaviour": metric.behaviour, "step": metric.step, "mean_reward": metric.mean_reward,
            "std_reward": metric.std_reward, **statistics}  # fmt: skip
