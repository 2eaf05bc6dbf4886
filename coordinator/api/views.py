"""How jobs and nodes look to clients. Games read the first nine fields of a job; the rest is for everybody else."""

from typing import Any

from ..dispatching.places import Place
from ..environments import Environment
from ..lifecycle import JobState
from ..models import Artifact, Attempt, Build, BuildCheck, Metric, Node
from ..nodes import QUARANTINED
from ..recordings import Listed
from .auth import Owner
from .forms.environments import BuildForm, BuildInFull, EnvironmentForm, ListedEnvironment
from .forms.jobs import AttemptForm, ModelForm, TrainJob
from .forms.nodes import BuildToFetch, NodeForm
from .forms.results import EpisodeForm, FileForm, Model, Summary


def job(row: Any, owner: Owner, its_model: Artifact | None = None, place: Place | None = None) -> TrainJob:
    """TrainJob, from a Job or a row with its columns, its newest model, and its place where it waits."""
    start = place.expected_start if place else None
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
        "team": owner.team,
        "state": row.state,
        "attempt": row.attempt,
        "env_version": row.env_version,
        "seed": row.seed,
        "recording": row.recording,
        "steps_trained": row.steps_trained,
        "mean_reward": row.mean_reward,
        "error": row.error,
        "cancel_requested": row.cancel_requested_at is not None,
        "last_seq": row.last_seq,
        "num_envs": row.num_envs,
        "checkpoint_interval": row.checkpoint_interval,
        "time_limit": row.time_limit,
        "hyperparameters": row.hyperparameters,
        "initialize_from": str(row.initialize_from) if row.initialize_from else None,
        "rerun_of": str(row.rerun_of) if row.rerun_of else None,
        "comparison": row.comparison,
        "model": in_short(its_model) if its_model else None,
        "requires": row.requires,
        "waiting_for": row.waiting_for,
        "priority": row.priority,
        "queue_position": place.position if place else None,
        "expected_start": start.isoformat() if start else None,
    }


def in_short(row: Artifact) -> ModelForm:
    """The model of a job, as the job shows it."""
    version: int = row.manifest.get("version", 1)
    return {"version": version, "sha256": row.sha256, "size": row.size}


def model(row: Artifact) -> Model:
    """A model and its manifest: what a game needs to know before it loads it."""
    about: Any = {"version": 1, "step": row.step, "attempt": row.attempt, "created_at": row.created_at.isoformat()}
    made: Model = about | row.manifest | {"sha256": row.sha256, "size": row.size}
    return made


def file(row: Artifact) -> FileForm:
    """A file of an attempt."""
    return {"name": row.name, "kind": row.kind, "size": row.size, "sha256": row.sha256, "attempt": row.attempt,
            "step": row.step, "created_at": row.created_at.isoformat()}  # fmt: skip


def made_file(name: str, kind: str) -> FileForm:
    """A file that is made when it is asked for."""
    return {"name": name, "kind": kind, "size": None, "sha256": None, "attempt": None, "step": None, "created_at": None}


def attempt(row: Attempt, node: str) -> AttemptForm:
    """One start of a job, and why it ended."""
    return {
        "attempt": row.number,
        "node": node,
        "start_step": row.start_step,
        "claimed_at": row.claimed_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "kind": row.kind,
        "cause": row.cause,
    }


def episode(row: Listed) -> EpisodeForm:
    """A recorded episode; `seconds` from its begin to its last message."""
    return {
        "attempt": row.attempt,
        "number": row.number,
        "instance": row.instance,
        "messages": row.messages,
        "size": row.size,
        "seconds": row.last_ms / 1000,
        "began_at": row.began_at.isoformat(),
        "is_complete": row.is_complete,
    }


def metric(row: Metric) -> Summary:
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


def build(row: Build) -> BuildForm:
    """One version of an environment."""
    return {"id": str(row.id), "env_id": row.env_id, "version": row.version, "state": row.state, "error": row.error}


def build_in_full(row: Build, checks: list[tuple[BuildCheck, str]]) -> BuildInFull:
    """The same with everything that is known of it."""
    manifest = row.manifest or {}
    return {
        **build(row),
        "size": row.size, "sha256": row.sha256, "unpacked_size": row.unpacked_size, "files": row.files,
        "created_at": row.created_at.isoformat(), "ready_at": row.ready_at.isoformat() if row.ready_at else None,
        "retired_at": row.retired_at.isoformat() if row.retired_at else None,
        "kind": manifest.get("kind"), "executable": manifest.get("executable"), "areas": manifest.get("areas"),
        "num_envs": manifest.get("num_envs"), "behaviours": manifest.get("behaviours", {}),
        "checks": [{"node": node, "error": its.error, "seconds": its.seconds, "found": its.found,
                    "checked_at": its.checked_at.isoformat()} for its, node in checks],
    }  # fmt: skip


def build_to_fetch(row: Build, url: str) -> BuildToFetch:
    """For a node: what it needs to fetch the build, and to know that it has it."""
    return {"id": str(row.id), "url": url, "sha256": row.sha256, "size": row.size, "unpacked_size": row.unpacked_size}


def environment(env_id: str, builds: list[Build]) -> ListedEnvironment:
    """An environment of the store, READY versions first, the newest of them first of all."""
    newest = builds[0]
    manifest = (newest.manifest or {}) if newest.state == "READY" else {}
    return _environment(env_id, newest.version if newest.state == "READY" else None, manifest) | {
        "source": "store", "versions": [build(row) for row in builds],
    }  # fmt: skip


def installed(its: Environment) -> ListedEnvironment:
    """An environment that came with the installation."""
    one = {"version": its.version, "state": "READY", "error": None, "behaviours": its.manifest["behaviours"]}
    return _environment(its.env_id, its.version, its.manifest) | {"source": "installation", "versions": [one]}


def _environment(env_id: str, version: str | None, manifest: dict[str, Any]) -> EnvironmentForm:
    return {"env_id": env_id, "version": version, "name": manifest.get("name"), "kind": manifest.get("kind", "unity"),
            "description": manifest.get("description"), "behaviours": sorted(manifest.get("behaviours", {})),
            "areas": manifest.get("areas")}  # fmt: skip


def node(row: Node, with_causes: bool) -> NodeForm:
    """A training node; with the causes of its quarantine, as an operator sees it."""
    quarantine = row.quarantine if with_causes or row.quarantine is None else QUARANTINED
    return {"name": row.name, "slots": row.slots, "has": row.has,
            "last_seen_at": row.last_seen_at.isoformat() if row.last_seen_at else None,
            "drain": row.drain, "quarantine": quarantine,
            "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None}  # fmt: skip
