"""What a game really sends."""

from typing import Any, TypeAlias

Client: TypeAlias = Any
"""Flask's test client, whose answers' `json` may be None for mypy."""

URL = "/api/v1/train-jobs"
BODY: dict[str, Any] = {
    "agent_config": "agent_config",
    "env_config": {"agent_id": "1", "env_id": "reach1d", "num_of_areas": 8},
    "nn_model_config": {"behavior_name": "Reach1D", "steps": 50_000},
}


def body(**changes: Any) -> dict[str, Any]:
    """The body with changes, which name nested fields as `nn_model_config__steps`."""
    changed = {**BODY, "env_config": dict(BODY["env_config"]), "nn_model_config": dict(BODY["nn_model_config"])}
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            changed[outer][inner] = value
        else:
            changed[outer] = value
    return changed


def bearer(token: str) -> dict[str, str]:
    """The headers of somebody with this token."""
    return {"Authorization": f"Bearer {token}"}


def metric(step: int, reward: float | None = 0.5) -> dict[str, Any]:
    """A summary of training, as a trainer reports it."""
    return {
        "kind": "metrics", "behaviour": "Reach1D", "step": step, "time_elapsed": step / 1_000, "mean_reward": reward,
        "std_reward": None if reward is None else 0.1, "statistics": {"Losses/Policy Loss": {"mean": 0.02}},
    }  # fmt: skip


def phase(name: str) -> dict[str, Any]:
    """That the trainer is STARTING or RUNNING."""
    return {"kind": "phase", "phase": name}
