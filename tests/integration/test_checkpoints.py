"""Checkpoints that come while a training runs: kept, told, pruned; and which of them the next attempt goes on from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import requests
from celery.exceptions import Retry
from flask import Flask

from coordinator import broker, tasks
from coordinator.config import Config
from coordinator.errors import Unavailable
from coordinator.ledger import Told
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from coordinator.sweeper import Sweeper
from services.ports import free_ports
from tests.conftest import running
from tests.integration.database import change, job, rows
from tests.jobs import URL, Client, body, metric
from tests.played_node import CHECKPOINT, MODEL, PlayedNode
from wire.codec import decode
from wire.facts import Artifact
from wire.names import TASK_UPLOADED, artifact_key, staging_key
from wire.uploads import Upload

Headers = dict[str, str]


@pytest.fixture
def run_id(client: Client, owner: Headers, played: PlayedNode) -> str:
    """A job whose first attempt runs."""
    made = str(client.post(URL, json=body(), headers=owner).json["run_id"])
    played.claim(made)
    return made


def kept(app: Flask) -> list[tuple[int, int]]:
    """(attempt, step) of the checkpoints."""
    return rows(app, "SELECT attempt, step FROM artifacts WHERE kind = 'checkpoint' ORDER BY 1, 2")


def rejected(app: Flask) -> list[str]:
    return rows(app, "SELECT reason FROM rejected_messages ORDER BY id")


def is_there(app: Flask, key: str) -> bool:
    try:
        return bool(list(parts(app).storage.read(key)))
    except Unavailable:
        return False


def sweep(app: Flask, name: str) -> None:
    with app.app_context():
        getattr(Sweeper(app, None, parts(app).storage, lease_seconds=25, every_seconds=1), name)()  # type: ignore[arg-type]


def start_of(played: PlayedNode, run_id: str, attempt: int) -> tuple[int, bytes | None]:
    """The step at which an attempt is to begin, and the checkpoint that it gets."""
    spec = played.claim(run_id, attempt).json["spec"]
    link = spec["checkpoint_url"]
    return spec["start_step"], requests.get(link, timeout=10).content if link else None


def test_a_checkpoint_is_stored_and_told_while_the_training_runs(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode, told: list[Told]
) -> None:
    played.say(run_id, metric(5_000))
    artifact = played.checkpoint(run_id, 5_000)
    message = decode(told[-1].frame)
    assert message == {"msg_id": 13, "step": 5_000, "attempt": 1, "seq": told[-2].seq + 1}
    played.say(run_id, metric(6_000), first=2)
    seqs = rows(app, "SELECT seq FROM events ORDER BY seq")
    assert seqs == list(range(1, len(seqs) + 1))
    link = f"{URL}/{run_id}/files/checkpoint-5000.pt"
    assert client.get(link, headers=owner).data == b"checkpoint at 5000 of 1"
    assert not is_there(app, staging_key(run_id, 1, artifact.name))


def test_a_checkpoint_that_is_told_twice_is_kept_and_told_once(
    app: Flask, run_id: str, played: PlayedNode, told: list[Told]
) -> None:
    artifact = played.checkpoint(run_id, 5_000)
    before = len(told)
    played.tell(run_id, artifact)
    assert (len(told), kept(app), rejected(app)) == (before, [(1, 5_000)], [])


def test_the_newest_are_kept_and_the_last_of_each_attempt(app: Flask, run_id: str, played: PlayedNode) -> None:
    for step in (1_000, 2_000):
        played.checkpoint(run_id, step)
    played.lose(run_id)
    assert start_of(played, run_id, 2) == (2_000, b"checkpoint at 2000 of 1")
    for step in range(3_000, 10_000, 1_000):
        played.checkpoint(run_id, step, 2)
    assert kept(app) == [(1, 2_000), *((2, step) for step in range(5_000, 10_000, 1_000))]
    gone = rows(app, "SELECT key FROM dropped_objects ORDER BY key")
    assert len(gone) == 3
    assert all(is_there(app, key) for key in gone)
    sweep(app, "delete_dropped")
    assert not any(is_there(app, key) for key in gone)
    assert rows(app, "SELECT count(*) FROM dropped_objects") == [0]


def test_the_next_attempt_goes_on_from_the_last_stored_checkpoint_and_the_curve_has_no_overlap(
    client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.say(run_id, *(metric(step) for step in (2_000, 4_000, 6_000, 8_000)))
    played.checkpoint(run_id, 5_000)
    played.lose(run_id)
    assert start_of(played, run_id, 2) == (5_000, b"checkpoint at 5000 of 1")
    played.say(run_id, *(metric(step) for step in (7_000, 9_000)), attempt=2)

    def curve(query: str = "") -> list[tuple[int, int]]:
        answer = client.get(f"{URL}/{run_id}/metrics{query}", headers=owner)
        return [(summary["attempt"], summary["step"]) for summary in answer.json]

    assert curve() == [(1, 2_000), (1, 4_000), (2, 7_000), (2, 9_000)]
    assert curve("?attempt=1") == [(1, 2_000), (1, 4_000), (1, 6_000), (1, 8_000)]
    played.lose(run_id, 2)
    assert start_of(played, run_id, 3)[0] == 5_000
    assert curve() == [(1, 2_000), (1, 4_000)]
    assert [its["start_step"] for its in client.get(f"{URL}/{run_id}", headers=owner).json["attempts"]] == [
        0, 5_000, 5_000,
    ]  # fmt: skip


def test_what_a_lost_attempt_stores_too_late_is_never_gone_on_from(
    app: Flask, run_id: str, played: PlayedNode, told: list[Told]
) -> None:
    late = played.upload(run_id, "checkpoint", CHECKPOINT, name="checkpoint-9000.pt", step=9_000)
    in_time = played.upload(run_id, "checkpoint", b"in time", name="checkpoint-4000.pt", step=4_000)
    played.lose(run_id)
    before = len(told)
    played.tell(run_id, in_time)
    assert start_of(played, run_id, 2) == (4_000, b"in time")
    played.tell(run_id, late)
    assert kept(app) == [(1, 4_000)]
    assert not is_there(app, staging_key(run_id, 1, late.name))
    assert [decode(one.frame)["msg_id"] for one in told[before:]] == [2]  # RETRIEVED; none for what is history
    played.lose(run_id, 2)
    assert start_of(played, run_id, 3) == (4_000, b"in time")
    sweep(app, "delete_dropped")
    assert not is_there(app, artifact_key(run_id, 1, late.name, late.sha256))


def test_what_comes_after_the_end_is_kept_and_not_told(
    app: Flask, run_id: str, played: PlayedNode, told: list[Told]
) -> None:
    late = played.upload(run_id, "checkpoint", CHECKPOINT, name="checkpoint-9000.pt", step=9_000)
    played.hand_in(run_id, played.upload(run_id, "model", MODEL))
    played.finish(run_id)
    played.tell(run_id, late)
    assert told[-1].final
    assert kept(app) == [(1, 9_000)]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"sha256": "0" * 64}, "The upload's SHA-256 is "),
        ({"size": 5}, "The upload has 12 bytes; the node said 5."),
        ({"size": 2**50}, "It has 1125899906842624 bytes; at most 2048000000 are taken (MAX_FILE_MB)."),
        ({"name": "checkpoint-2.pt"}, "The node's upload is not in storage."),
    ],
)
def test_a_bad_upload_is_set_aside_and_the_next_one_is_taken(
    app: Flask, run_id: str, played: PlayedNode, wrong: dict[str, Any], reason: str
) -> None:
    good = played.upload(run_id, "checkpoint", CHECKPOINT, name="checkpoint-1.pt", step=1)
    played.tell(run_id, replace(good, **wrong))
    ((found,), none) = rejected(app), kept(app)
    assert found.startswith(reason)
    assert none == []
    played.checkpoint(run_id, 3)
    assert kept(app) == [(1, 3)]


def test_an_upload_of_an_attempt_that_is_not_known_is_set_aside(app: Flask, run_id: str, played: PlayedNode) -> None:
    played.tell(run_id, Artifact("checkpoint", "0" * 64, 1, step=1), attempt=7)
    assert rejected(app) == [f"There is no attempt 7 of run {run_id}."]


def test_a_deleted_jobs_checkpoint_leaves_nothing(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.checkpoint(run_id, 1_000)
    client.delete(f"{URL}/{run_id}", headers=owner)
    played.hand_in(run_id, status="stopped")
    played.finish(run_id)
    (key,) = rows(app, "SELECT key FROM artifacts")
    sweep(app, "purge_deleted")
    sweep(app, "delete_dropped")
    assert not is_there(app, key)


def test_a_checkpoint_that_another_job_begins_with_is_kept_until_that_has_ended(
    app: Flask, client: Client, owner: Headers, run_id: str, played: PlayedNode
) -> None:
    played.checkpoint(run_id, 1_000)
    (key,) = rows(app, "SELECT key FROM artifacts")
    other = client.post(URL, json=body(), headers=owner).json["run_id"]
    change(app, "UPDATE jobs SET initialize_key = :key WHERE run_id = :run_id", key=key, run_id=other)
    change(app, "INSERT INTO dropped_objects (key) SELECT key FROM artifacts")
    change(app, "DELETE FROM artifacts")
    sweep(app, "delete_dropped")
    assert is_there(app, key)
    client.post(f"{URL}/{other}/cancel", headers=owner)
    assert job(app, other)[0] == "CANCELLED"
    sweep(app, "delete_dropped")
    assert not is_there(app, key)


def test_what_lost_attempts_left_in_staging_is_cleared(
    app: Flask, run_id: str, played: PlayedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = played.upload(run_id, "checkpoint", CHECKPOINT)
    key = staging_key(run_id, 1, left.name)
    sweep(app, "clear_staging")
    assert is_there(app, key)  # too young
    monkeypatch.setattr("coordinator.sweeper.STAGED_GRACE", timedelta(minutes=-1))
    sweep(app, "clear_staging")
    assert is_there(app, key)  # its attempt runs
    played.lose(run_id)
    sweep(app, "clear_staging")
    assert not is_there(app, key)


def test_while_s3_is_away_a_checkpoint_that_was_told_waits_in_the_queue(
    app: Flask, config: Config, run_id: str, played: PlayedNode
) -> None:
    artifact = played.upload(run_id, "checkpoint", CHECKPOINT, name="checkpoint-1.pt", step=1)
    message = Upload(UUID(run_id), 1, artifact).to_wire()
    nowhere = f"http://127.0.0.1:{free_ports(1, set())[0]}"
    celery = broker.make_celery("memory://", "test")
    with running(replace(config, s3_endpoint_url=nowhere)) as elsewhere, pipeline_of(elsewhere):
        tasks.register(celery, elsewhere)
        task = celery.tasks[TASK_UPLOADED]
        task.push_request(id="1", args=[message], kwargs={}, called_directly=False, delivery_info={})
        with pytest.raises(Retry):
            task.run(message)
    with celery.connection_for_read() as connection:
        (again,), _, _ = broker.OUTCOME_QUEUE(connection.default_channel).get().decode()
    assert again == message
    assert (kept(app), rejected(app)) == ([], [])
    with pipeline_of(app):
        played.tell(run_id, artifact)
    assert kept(app) == [(1, 1)]


@contextmanager
def pipeline_of(app: Flask) -> Iterator[None]:
    """Reports go through this app's pipeline for a while."""
    its = parts(app)
    reported.disconnect(dispatch_uid="pipeline")
    steps.connect(its.storage, its.publisher, its.config)
    yield
    reported.disconnect(dispatch_uid="pipeline")


@pytest.mark.parametrize(
    "message",
    [3, "x", [], {}, {"run_id": "x"}, {"run_id": str(UUID(int=1)), "attempt": 1, "artifact": {"kind": "virus"}}],
    ids=str,
)
def test_what_is_no_upload_is_set_aside(app: Flask, pipeline: None, message: Any) -> None:
    celery = broker.make_celery("memory://", "test")
    tasks.register(celery, app)
    celery.tasks[TASK_UPLOADED](message)
    assert rows(app, "SELECT source FROM rejected_messages") == ["uploads"]
