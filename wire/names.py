"""Names that both sides of a process boundary must spell alike: queues, tasks, events, storage keys, HTTP paths."""

from uuid import UUID

# Celery queues and the tasks that travel on them
TRAIN_EXCHANGE = TRAIN_QUEUE = "train"
OUTCOME_QUEUE = "coord"
OUTCOME_EXCHANGE = "coordx"  # a topic of its own: a node may write here without the right to write to every queue
MAX_PRIORITY = 10
DEFAULT_PRIORITY = 5

TASK_TRAIN = "train.run"
TASK_OUTCOME = "coord.outcome"
TASK_LOST = "coord.lost"
TASK_FINISH = "coord.finish"

# Celery events: Flower folds the group `task-` into its own states, so ours are a group of their own
EVENT_EXCHANGE = "celeryev"
EVENT_TYPE = "training-facts"
EVENT_ROUTING_KEY = "training.facts"
EVENT_QUEUE = "training.facts"

# The broker fanout that feeds every web process
FANOUT_EXCHANGE = "web"

NODE_API = "/api/v1/node"


def task_id(run_id: UUID | str, attempt: int) -> str:
    """The Celery id of an attempt's training task; the same for every copy of its message."""
    return f"{run_id}.{attempt}"


def attempt_of(task: str) -> tuple[UUID, int]:
    """The inverse of `task_id`. Raises ValueError for an id that is not one of ours."""
    run_id, _, attempt = task.rpartition(".")
    return UUID(run_id), int(attempt)


def staging_key(run_id: UUID | str, attempt: int, kind: str) -> str:
    """Where a node uploads an artifact of an attempt: written by presigned link, trusted by nobody."""
    return f"staging/{run_id}/{attempt}/{kind}"


def artifact_key(run_id: UUID | str, attempt: int, kind: str, sha256: str) -> str:
    """Where a verified artifact lies for good: written once, by the coordinator only."""
    return f"artifacts/{run_id}/{attempt}/{kind}-{sha256}"
