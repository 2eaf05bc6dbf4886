"""What is said over the bridge: the job's config to the build, its states and episodes from it."""

from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from wire.codec import NotAMessage, decode, encode
from wire.jobs import JobSpec

ACTIONS, TRAIN_JOB_CONFIG, ON_EPISODE_BEGIN = 1, 3, 4
RELAYED = {str(ACTIONS): ACTIONS, str(ON_EPISODE_BEGIN): ON_EPISODE_BEGIN}


class NotRelayed(ValueError):
    """A text that no game may see. The sentence says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """One message of a build, untouched, and as much of it as the bridge understands."""

    content: bytes
    kind: int
    episode_count: int | None = None


def train_job(spec: JobSpec, coordinator_url: str) -> dict[str, Any]:
    """The job as builds expect it; the spelling of `centra_node_id` is theirs."""
    return {
        "centra_node_id": str(uuid5(NAMESPACE_URL, coordinator_url)),
        "central_node_url": coordinator_url.partition("://")[2].partition("/")[0],
        "run_id": spec.run_id,
        "job_type": spec.job_type,
        "nn_model_config": {"behavior_name": spec.behaviour, "steps": spec.steps},
        "agent_config": spec.agent_config,
        "env_config": {"agent_id": spec.agent_id, "env_id": spec.env_id, "num_of_areas": spec.num_of_areas},
    }


def config(job: dict[str, Any]) -> str:
    """TRAIN_JOB_CONFIG. Its number is text, as the oldest builds have it."""
    return encode({"msg_id": str(TRAIN_JOB_CONFIG), "train_job": job})


def read(text: str) -> Word:
    """A message for games. Raises NotRelayed for anything that could stop their parsers or means nothing to them."""
    try:
        message = decode(text)
    except NotAMessage as error:
        raise NotRelayed(str(error)[:200]) from None
    kind = RELAYED.get(str(message.get("msg_id"))[:2])
    if kind is None:
        raise NotRelayed(f"msg_id must be {' or '.join(RELAYED)}, not {str(message.get('msg_id'))[:40]!r}.")
    count = message.get("episodeCount")
    return Word(text.encode(), kind, count if type(count) is int else None)
