"""Names that both sides of a process boundary must spell alike: queues, tasks, events, storage keys, HTTP paths."""

from hashlib import sha256
from typing import Any
from uuid import UUID

from .codec import encode

# Celery queues and the tasks that travel on them
TRAIN_EXCHANGE = TRAIN_QUEUE = "train"
OUTCOME_QUEUE = "coord"
OUTCOME_EXCHANGE = "coordx"  # a topic of its own: a node may write here without the right to write to every queue
OUTCOME_QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "classic"}
UNUSED_QUEUE_MILLISECONDS = 3_600_000
MAX_PRIORITY = 10
DEFAULT_PRIORITY = 5
DEFAULT_TRAINER = "mlagents"
VERSION = "0.1.0"

TASK_TRAIN = "train.run"
TASK_OUTCOME = "coord.outcome"
TASK_LOST = "coord.lost"
TASK_FINISH = "coord.finish"
TASK_UPLOADED = "coord.uploaded"  # a node has put a file of a running attempt into staging: wire.uploads.Upload
TASK_PROBE = "coord.probe"  # has everything before it been taken from the queue?
TASK_VERIFY = "coord.verify"  # a build has been uploaded
TASK_REJECTED = "coord.rejected"  # a node could not use what was in a queue of trainings: wire.rejected.Rejected

# Celery events: Flower folds the group `task-` into its own states, so ours are a group of their own
EVENT_EXCHANGE = "celeryev"
EVENT_TYPE = "training-facts"
EVENT_ROUTING_KEY = "training.facts"
EVENT_QUEUE = "training.facts"
# quorum: events outlive a restart of the broker; one active consumer: two recorders must not mix up their order
EVENT_QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum", "x-single-active-consumer": True}

# The broker fanout that feeds every web process
FANOUT_EXCHANGE = "web"

# What builds say of their world while they train: a topic exchange from the nodes' bridges straight to the web
# processes, routing key = run_id, body = the build's own bytes; nothing of it is stored by the broker
STATE_EXCHANGE = "states"
LARGEST_MESSAGE = 8 * 1024 * 1024
"""In bytes: what a build may say, the outcome of a training with all its manifests."""
BRIDGE_PATH = "/api/v1/train-instance-stream"

NODE_API = "/api/v1/node"

# What a node's user at the broker may do, as RabbitMQ's patterns: nothing there is named after the node
NODE_CONFIGURE = "^$"
NODE_WRITE = f"^({EVENT_EXCHANGE}|{OUTCOME_EXCHANGE}|{STATE_EXCHANGE})$"
NODE_READ = rf"^{TRAIN_QUEUE}(\.[0-9a-f]{{16}})?$"
EVENT_CHECK_KEY, OUTCOME_CHECK_KEY = "training.check", f"{OUTCOME_QUEUE}.check"
"""Keys that nodes may write to and no queue of ours is bound to."""
NODE_TOPICS = {
    EVENT_EXCHANGE: r"^(task|worker|training)\.",
    OUTCOME_EXCHANGE: rf"^{OUTCOME_QUEUE}(\.check)?$",
}
"""The routing keys that it may write with, by exchange."""


def task_id(run_id: UUID | str, attempt: int) -> str:
    """The Celery id of an attempt's training task; the same for every copy of its message."""
    return f"{run_id}.{attempt}"


def attempt_of(task: str) -> tuple[UUID, int]:
    """The inverse of `task_id`. Raises ValueError for an id that is not one of ours."""
    run_id, _, attempt = task.rpartition(".")
    return UUID(run_id), int(attempt)


def train_queue(requires: dict[str, Any]) -> str:
    """The queue of jobs that ask for just this of a node; all that ask for nothing share one."""
    if not requires:
        return TRAIN_QUEUE
    return f"{TRAIN_QUEUE}.{sha256(encode(dict(sorted(requires.items()))).encode()).hexdigest()[:16]}"


def train_queue_arguments(queue: str) -> dict[str, Any]:
    """Arguments of a queue of trainings, which are final: whoever declares it must say the same.

    The type is spelled out so that a virtual host's default can't change it. Queues of jobs that ask for something go
    by themselves when nobody has used them for a while.
    """
    arguments = {"x-queue-type": "classic", "x-max-priority": MAX_PRIORITY}
    return arguments if queue == TRAIN_QUEUE else arguments | {"x-expires": UNUSED_QUEUE_MILLISECONDS}


def staging_key(run_id: UUID | str, attempt: int, name: str) -> str:
    """Where a node uploads a file of an attempt: written by presigned link, trusted by nobody."""
    return f"staging/{run_id}/{attempt}/{name}"


def artifact_key(run_id: UUID | str, attempt: int, name: str, digest: str) -> str:
    """Where a verified file lies for good: written once, by the coordinator only."""
    return f"artifacts/{run_id}/{attempt}/{digest}/{name}"


def build_key(build_id: UUID | str) -> str:
    """Where a build's archive lies: its parts are written by presigned links, which end with the upload. In a folder of
    its own, for an S3 server that keeps files may remove one with its last object, and an open upload with that."""
    return f"builds/{build_id}/archive"
