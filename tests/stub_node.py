"""A training node without a trainer, by the node's own code: claims over HTTP, reports over RabbitMQ, uploads to S3."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from node.central import Central, sha256_of
from node.config import Config
from node.report import EventSender, Reporter, Spool
from node.worker import create_worker
from services.platform import Platform
from tests.jobs import metric, phase
from wire.facts import Artifact, Outcome
from wire.jobs import Has
from wire.names import TASK_LOST, TASK_OUTCOME, TASK_UPLOADED, task_id
from wire.uploads import Upload

MODEL = b"an ONNX model" * 1_000


class StubNode:
    """Plays the node of a running platform, which another program may have been before; its files lie in `folder`."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._folder = folder
        self.central = Central(platform.url, platform.node_token)
        self._celery = create_worker(
            Config(broker_url=platform.node_broker_url, coordinator_url=platform.url, node_token=platform.node_token)
        )
        self._reporters: dict[str, Reporter] = {}
        self.central.hello(1, Has(), uuid4(), None)  # a life of its own: the one before it may have been shut down

    def claim(self, run_id: str, attempt: int = 1) -> None:
        """The attempt is this node's from now on."""
        self.central.claim(run_id, attempt, uuid4())
        task = task_id(run_id, attempt)
        self._reporters[task] = Reporter(Spool(self._folder / task), EventSender(self._celery, run_id, attempt))

    def say(self, run_id: str, *facts: dict[str, Any], attempt: int = 1) -> None:
        """Facts, on their way in the background."""
        for fact in facts:
            self._reporters[task_id(run_id, attempt)].say(fact)

    def upload(self, run_id: str, kind: str, content: bytes, attempt: int = 1) -> Artifact:
        """A file into staging."""
        path = self._folder / f"{task_id(run_id, attempt)}.{kind}"
        path.write_bytes(content)
        artifact = Artifact(kind, sha256_of(path), len(content))
        self.central.upload(run_id, attempt, artifact.name, path)
        return artifact

    def record(self, run_id: str, content: bytes, manifest: dict[str, Any], attempt: int = 1) -> None:
        """A finished piece of a recording: uploaded, and told."""
        path = self._folder / "recording-1.json-seq"
        path.write_bytes(content)
        its = Artifact("recording", sha256_of(path), len(content), manifest, path.name)
        self.central.upload(run_id, attempt, its.name, path)
        self._celery.send_task(TASK_UPLOADED, args=[Upload(UUID(run_id), attempt, its).to_wire()])

    def hand_in(self, run_id: str, *artifacts: Artifact, attempt: int = 1, **said: Any) -> None:
        """The outcome, after all facts are confirmed, as Celery's result callback brings it."""
        sent = self._reporters.pop(task_id(run_id, attempt)).finish(30)
        usual: dict[str, Any] = {"status": "succeeded", "facts_sent": sent, "artifacts": artifacts}
        outcome = Outcome(UUID(run_id), attempt, **usual | said)
        self._celery.send_task(TASK_OUTCOME, args=[outcome.to_wire()])

    def lose(self, run_id: str, attempt: int = 1) -> None:
        """The worker process died, as Celery's error callback says it."""
        self._reporters.pop(task_id(run_id, attempt)).finish(30)
        self._celery.send_task(TASK_LOST, args=[task_id(run_id, attempt), run_id, attempt])

    def succeed(self, run_id: str, attempt: int = 1, model: bytes = MODEL, and_more: tuple[str, ...] = ()) -> None:
        """Uploads a model, and files of these kinds, and hands in that the training succeeded."""
        more = [self.upload(run_id, kind, b"a file", attempt) for kind in and_more]
        self.hand_in(run_id, self.upload(run_id, "model", model, attempt), *more, attempt=attempt)

    def train(
        self, run_id: str, attempt: int = 1, summaries: int = 3, model: bytes = MODEL, and_more: tuple[str, ...] = ()
    ) -> None:
        """A whole training that succeeds."""
        self.claim(run_id, attempt)
        facts = [metric(n * 1_000, n / summaries) for n in range(1, summaries + 1)]
        self.say(run_id, phase("STARTING"), phase("RUNNING"), *facts, attempt=attempt)
        self.succeed(run_id, attempt, model, and_more)
