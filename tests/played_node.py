"""A training node without a trainer and without a broker: facts and outcomes go straight into the pipeline."""

import hashlib
from typing import Any
from uuid import UUID, uuid4

import requests
from flask import Flask

from coordinator.pipeline.receiver import deliver
from coordinator.pipeline.reports import AttemptComplete, AttemptLost, FileUploaded, OutcomeReported
from coordinator.recorder import Came, record_messages
from coordinator.senders import Senders
from tests.jobs import metric, phase
from wire.codec import encode
from wire.facts import Artifact, Outcome, facts_to_wire
from wire.names import EVENT_TYPE, NODE_API
from wire.uploads import Upload

MODEL, CHECKPOINT = b"an ONNX model" * 1_000, b"a checkpoint"


class PlayedNode:
    """Claims over REST, reports into the pipeline of the same process, uploads to S3."""

    def __init__(self, app: Flask, headers: dict[str, str]) -> None:
        self._app, self._headers = app, headers
        self._client = app.test_client()

    def post(self, path: str, body: Any) -> Any:
        """To the coordinator's address for nodes."""
        return self._client.post(NODE_API + path, json=body, headers=self._headers)

    def claim(self, run_id: str, attempt: int = 1, claim: UUID | None = None) -> Any:
        return self.post("/claims", {"run_id": run_id, "attempt": attempt, "claim": str(claim or uuid4())})

    def heartbeat(self, run_id: str, attempt: int = 1) -> Any:
        return self.post(f"/attempts/{run_id}/{attempt}/heartbeat", {})

    def say(self, run_id: str, *facts: dict[str, Any], attempt: int = 1, first: int = 1) -> None:
        """Facts, numbered from `first`, in one event."""
        with self._app.app_context():
            record_messages([Came(event(run_id, *facts, attempt=attempt, first=first))], Senders())

    def upload(self, run_id: str, kind: str, content: bytes, attempt: int = 1, **about: Any) -> Artifact:
        """Into staging, by the link that the coordinator gives."""
        artifact = Artifact(kind, hashlib.sha256(content).hexdigest(), len(content), **about)
        link = self.post(f"/attempts/{run_id}/{attempt}/uploads", {"name": artifact.name}).json
        requests.put(link["url"], data=content, timeout=10).raise_for_status()
        return artifact

    def tell(self, run_id: str, artifact: Artifact, attempt: int = 1) -> None:
        """That a file of the running attempt is in staging."""
        with self._app.app_context():
            deliver(FileUploaded(Upload(UUID(run_id), attempt, artifact)))

    def checkpoint(self, run_id: str, step: int, attempt: int = 1) -> Artifact:
        """A periodic checkpoint, uploaded and told."""
        content, name = f"checkpoint at {step} of {attempt}".encode(), f"checkpoint-{step}.pt"
        artifact = self.upload(run_id, "checkpoint", content, attempt, name=name, step=step)
        self.tell(run_id, artifact, attempt)
        return artifact

    def hand_in(self, run_id: str, *artifacts: Artifact, attempt: int = 1, **said: Any) -> None:
        """The outcome: that it succeeded after no facts, unless something else is said."""
        usual: dict[str, Any] = {"status": "succeeded", "facts_sent": 0, "artifacts": artifacts}
        outcome = Outcome(UUID(run_id), attempt, **usual | said)
        with self._app.app_context():
            deliver(OutcomeReported(outcome))

    def finish(self, run_id: str, attempt: int = 1) -> None:
        """What the outbox asks for once the outcome and all facts are there."""
        with self._app.app_context():
            deliver(AttemptComplete(UUID(run_id), attempt))

    def lose(self, run_id: str, attempt: int = 1, cause: str = "Its node was silent.") -> None:
        """The attempt will never have an outcome."""
        with self._app.app_context():
            deliver(AttemptLost(UUID(run_id), attempt, cause))

    def train(self, run_id: str, attempt: int = 1, model: bytes = MODEL, steps: int = 50_000) -> None:
        """A whole training that succeeds."""
        assert self.claim(run_id, attempt).status_code == 200
        facts = [phase("STARTING"), phase("RUNNING"), metric(steps // 2, 0.25), metric(steps, 0.75)]
        self.say(run_id, *facts, attempt=attempt)
        kept = [self.upload(run_id, "model", model, attempt), self.upload(run_id, "checkpoint", CHECKPOINT, attempt)]
        self.hand_in(run_id, *kept, attempt=attempt, facts_sent=len(facts), steps=steps, mean_reward=0.75)
        self.finish(run_id, attempt)


def event(run_id: str, *facts: dict[str, Any], attempt: int = 1, first: int = 1) -> bytes:
    """A `training-facts` event as it lies in the queue."""
    return encode({"type": EVENT_TYPE} | facts_to_wire(run_id, attempt, list(enumerate(facts, first)))).encode()
