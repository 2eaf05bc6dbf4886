"""How an attempt ended, as the coordinator is told: what became of it and, where it is no success, why."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from wire.facts import MAX_ERROR_CHARACTERS, MAX_LOG_CHARACTERS, Artifact, Outcome
from wire.jobs import JobSpec

from .build_cache import FULL
from .lease import Stop
from .trainers.base import Cause, Ending, TrainingRefused

MAY_DO_BETTER: tuple[Cause, ...] = ("memory", "node", "stalled", "drained")
"""Causes that another attempt, or another node, may not meet: they interrupt a job, the others end it."""


def ended(spec: JobSpec, ending: Ending, stop: Stop, artifacts: tuple[Artifact, ...]) -> Outcome:
    """Of a training that ran, or that was stopped before it could."""
    step = max(ending.step, spec.start_step) if ending.status == "stopped" else ending.step
    if ending.status == "stopped" and stop.reason != Stop.CANCELLED:
        outcome = failed(spec, *_why_stopped(spec, stop, step))
    elif ending.status == "failed":
        outcome = failed(spec, ending.cause or "user", ending.error or "It failed.")
    else:
        outcome = Outcome(UUID(spec.run_id), spec.attempt, ending.status, 0)
    return replace(
        outcome, steps=step, mean_reward=ending.mean_reward, log_tail=ending.log_tail[-MAX_LOG_CHARACTERS:],
        artifacts=artifacts,
    )  # fmt: skip


def refused(spec: JobSpec, refusal: TrainingRefused) -> Outcome:
    """Of a training that could not begin."""
    return replace(failed(spec, refusal.cause, str(refusal)), log_tail=refusal.log_tail[-MAX_LOG_CHARACTERS:])


def broken(spec: JobSpec, error: Exception) -> Outcome:
    """Of an exception that nobody has foreseen."""
    is_full = isinstance(error, OSError) and error.errno in FULL
    why = f"The training node failed: {type(error).__name__}: {error}"
    return failed(spec, "node", "The training node's disk is full." if is_full else why)


def failed(spec: JobSpec, cause: Cause, sentence: str) -> Outcome:
    """With a sentence for the game developer."""
    status = "interrupted" if cause in MAY_DO_BETTER else "failed"
    return Outcome(UUID(spec.run_id), spec.attempt, status, 0, sentence[:MAX_ERROR_CHARACTERS], cause=cause)


def _why_stopped(spec: JobSpec, stop: Stop, step: int) -> tuple[Cause, str]:
    if stop.reason == Stop.FENCED:  # kept as history: the coordinator has long gone on
        return "node", "Its node had lost touch, and the job was started elsewhere."
    if stop.is_out_of_time:
        return "time_limit", f"It was ended after its time limit of {spec.time_limit} s, at step {step}."
    return "drained", "The training node was shut down."
