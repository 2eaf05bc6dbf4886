"""The examples in `wire/examples`: each program reads or writes them exactly, so that both sides of a wire agree."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from coordinator import messages
from coordinator.api import views
from coordinator.api.auth import Owner
from coordinator.api.schemas import ClaimBody, Hello, TrainJobBody, parse
from coordinator.lifecycle import JobState
from coordinator.recorder import facts_in
from node.central import Central
from wire.codec import encode
from wire.facts import Outcome, facts_to_wire
from wire.jobs import JobSpec
from wire.names import EVENT_TYPE

FOLDER = Path(__file__).resolve().parents[2] / "wire" / "examples"
RUN = UUID("6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a")


def example(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def job() -> dict[str, Any]:
    row = SimpleNamespace(
        run_id=RUN, state="CANCELLED", job_type="CREATE", behaviour="Reach1D", steps=50_000,
        agent_config="agent_config",
        agent_id="1", env_id="reach1d", num_of_areas=8, env_version="1.0.0", attempt=1, seed=7,
        steps_trained=0, mean_reward=None, last_seq=5, error="It was cancelled.",
        created_at=datetime.fromisoformat("2026-11-23T01:55:05.378354+00:00"),
        num_envs=1, checkpoint_interval=None, time_limit=None, recording={"every": 1, "max_mb": 50},
        hyperparameters={"learning_rate": 0.001}, initialize_from=None,
        rerun_of=None, comparison=None, requires={}, waiting_for=None, priority=5,
        cancel_requested_at=datetime.fromisoformat("2026-11-23T01:56:00+00:00"),
    )  # fmt: skip
    return views.job(row, Owner(UUID("6163e4b1-4418-47f9-ba67-80ec905b8748"), "player", "studio"))


def facts() -> dict[str, Any]:
    said = [(fact["n"], {k: v for k, v in fact.items() if k != "n"}) for fact in example("training_facts")["facts"]]
    return {"type": EVENT_TYPE} | facts_to_wire(RUN, 2, said)


BROKEN = "The environment did not connect within 60 s."
METRIC = {"behaviour": "Reach1D", "step": 10_000, "time_elapsed": 12.345, "mean_reward": -0.123, "std_reward": 0.456}
WRITTEN: dict[str, Callable[[], Any]] = {
    "train_job": job,
    "metrics": lambda: json.loads(messages.metrics(5, 1, METRIC) or ""),
    "status": lambda: json.loads(messages.status(RUN, 4, 1, JobState.RUNNING, None)),
    "status_failed": lambda: json.loads(messages.status(RUN, 6, 1, JobState.FAILED, BROKEN)),
    "error": lambda: json.loads(messages.error(f"There is no run {RUN} among your jobs.", "not_found")),
    "training_facts": facts,
    "outcome": lambda: Outcome.from_wire(example("outcome")).to_wire(),
    "outcome_failed": lambda: Outcome(RUN, 1, "failed", 1, BROKEN, cause="user").to_wire(),
    "claimed": lambda: {"spec": JobSpec.from_wire(example("claimed")["spec"]).to_wire(), "lease_seconds": 20.0},
}
READ: dict[str, Callable[[str], Any]] = {
    "train_job_body": lambda text: parse(TrainJobBody, text).request(),
    "train_job_body_resume": lambda text: parse(TrainJobBody, text).run_id,
    "hello": lambda text: parse(Hello, text).run_id,
    "hello_again": lambda text: (parse(Hello, text).after, parse(Hello, text).token),
    "claim": lambda text: parse(ClaimBody, text).claim,
    "training_facts": lambda text: [(fact.n, fact.kind, fact.attempt) for fact in facts_in(text.encode())],
    "outcome": lambda text: [artifact.kind for artifact in Outcome.from_wire(json.loads(text)).artifacts],
    "outcome_failed": lambda text: Outcome.from_wire(json.loads(text)).error,
    "claimed": lambda text: JobSpec.from_wire(json.loads(text)["spec"]).max_steps,
}
FOUND = {
    "train_job_body_resume": RUN, "hello": RUN, "hello_again": (12, "tj_secret"), "outcome_failed": BROKEN,
    "claim": UUID("0b5c8f0e-93a5-4c53-8f5e-0f4f0e6b8f10"), "outcome": ["model", "checkpoint"], "claimed": 50_000,
    "training_facts": [(1, "phase", 2), (2, "phase", 2), (3, "metrics", 2), (4, "metrics", 2)],
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_program_writes_the_example_exactly(name: str) -> None:
    assert encode(WRITTEN[name]()) == encode(example(name))


@pytest.mark.parametrize("name", READ)
def test_a_program_reads_the_example(name: str) -> None:
    found = READ[name]((FOLDER / f"{name}.json").read_text())
    assert found == FOUND.get(name, found)


def test_every_example_is_written_or_read() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(WRITTEN) | set(READ)


def test_a_node_sends_the_claim_and_understands_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []

    def post(self: Central, path: str, content: dict[str, Any]) -> Any:
        sent.append(content)
        return example("claimed")

    monkeypatch.setattr(Central, "_post", post)
    claim = example("claim")
    spec, lease = Central("http://x", "t").claim(claim["run_id"], claim["attempt"], UUID(claim["claim"]))
    assert sent == [claim]
    assert (spec.to_wire(), lease) == (example("claimed")["spec"], 20.0)


def test_the_games_messages_are_those_of_the_protocol() -> None:
    """What games in players' hands read; more fields may follow, these stay."""
    assert list(example("metrics"))[:6] == ["msg_id", "behaviour", "step", "time_elapsed", "mean_reward", "std_reward"]
    assert list(example("status"))[:3] == ["msg_id", "run_id", "status"]
    assert list(example("train_job"))[:9] == [
        "run_id", "job_status", "job_type", "nn_model_config", "agent_config", "env_config", "id", "created_at",
        "created_by",
    ]  # fmt: skip
