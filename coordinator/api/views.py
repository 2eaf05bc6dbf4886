"""How jobs and nodes look to clients. Games read the first nine fields of a job; the rest is for everybody else."""

from typing import Any

from ..lifecycle import JobState
from ..models import Attempt, Metric, Node
from .auth import Owner


def job(row: Any, owner: Owner) -> dict[str, Any]:
    """TrainJob, from a Job or a row with its columns."""
    return {
        "run_id": str(row.run_id),
        "job_status": JobState(row.state).for_games,
        "job_type": row.job_type,
        "nn_model_config": {"behavior_name": row.behaviour, "steps": row.steps},
        "agent_config": row.agent_config,
        "env_config": {"agent_id": row.agent_id, "env_id": row.env_id, "num_of_areas": row.num_of_areas},
        "id": str(row.run_id),
        "created_at": row.created_at.isoformat(),
        "created_by": {"id": str(owner.id), "name": owner.name},
        "state": row.state,
        "attempt": row.attempt,
        "seed": row.seed,
        "steps_trained": row.steps_trained,
        "mean_reward": row.mean_reward,
        "error": row.error,
        "cancel_requested": row.cancel_requested_at is not None,
        "last_seq": row.last_seq,
    }


def attempt(row: Attempt, node: str) -> dict[str, Any]:
    """One start of a job, and why it ended."""
    return {
        "attempt": row.number,
        "node": node,
        "claimed_at": row.claimed_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "cause": row.cause,
    }


def metric(row: Metric) -> dict[str, Any]:
    """A summary as METRICS has it, with every statistic the trainer wrote."""
    return {
        "behaviour": row.behaviour,
        "step": row.step,
        "time_elapsed": row.time_elapsed,
        "mean_reward": row.mean_reward,
        "std_reward": row.std_reward,
        "attempt": row.attempt,
        "statistics": row.statistics,
    }


def node(row: Node) -> dict[str, Any]:
    """A training node as an operator sees it."""
    return {"name": row.name, "slots": row.slots,
            "last_seen_at": row.last_seen_at.isoformat() if row.last_seen_at else None}  # fmt: skip
