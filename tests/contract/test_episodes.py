"""Recorded episodes over REST: listed in pages, given back byte for byte, bounded by the job's policy."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import requests
from flask import Flask

from coordinator.parts import parts
from coordinator.pipeline.receiver import deliver
from coordinator.pipeline.reports import FileUploaded
from coordinator.sweeper import Sweeper
from tests.integration.database import rows
from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode
from tests.recording import ODD, piece, sequence_of
from wire.facts import Artifact
from wire.uploads import Upload

Headers = dict[str, str]
REJECTED = "SELECT reason FROM rejected_messages"


@pytest.fixture
def run_id(client: Client, owner: Headers, played: PlayedNode) -> str:
    """A run that is being trained."""
    run_id = str(client.post(URL, json=body(), headers=owner).json["run_id"])
    assert played.claim(run_id).status_code == 200
    return run_id


def record(
    app: Flask, played: PlayedNode, run_id: str, content: bytes, manifest: dict[str, Any], number: int = 1,
    attempt: int = 1,
) -> None:  # fmt: skip
    """A node uploads a finished piece and tells of it."""
    name = f"recording-{number}.json-seq"
    its = Artifact("recording", hashlib.sha256(content).hexdigest(), len(content), manifest, name)
    link = played.post(f"/attempts/{run_id}/{attempt}/uploads", {"name": name}).json["url"]
    requests.put(link, data=content, timeout=10).raise_for_status()
    with app.app_context():
        deliver(FileUploaded(Upload(UUID(run_id), attempt, its)))


def episodes(client: Client, owner: Headers, run_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"{URL}/{run_id}/episodes{query}", headers=owner)
    assert answer.status_code == 200, answer.json
    listed: list[dict[str, Any]] = answer.json
    return listed


def numbers(listed: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(one["attempt"], one["number"]) for one in listed]


def test_an_episode_comes_back_byte_for_byte(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    record(app, played, run_id, *piece(ODD[:1], ODD, ODD[2:]))
    answer = client.get(f"{URL}/{run_id}/episodes/2", headers=owner)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "application/json-seq", sequence_of(ODD))
    assert answer.content_length == len(answer.data)


def test_the_list_says_of_each_episode_what_it_is(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    assert episodes(client, owner, run_id) == []
    record(app, played, run_id, *piece(ODD))
    assert episodes(client, owner, run_id) == [
        {"attempt": 1, "number": 1, "instance": 0, "messages": 4, "size": len(sequence_of(ODD)), "seconds": 0.06,
         "began_at": "2026-01-02T03:04:05+00:00", "is_complete": True}
    ]  # fmt: skip


def test_the_list_comes_in_pages_over_all_attempts(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    record(app, played, run_id, *piece(ODD, ODD, ODD))
    record(app, played, run_id, *piece(ODD, first=4), number=2)
    played.lose(run_id)
    played.claim(run_id, 2)
    record(app, played, run_id, *piece(ODD[1:], ODD), attempt=2)
    first = episodes(client, owner, run_id, "?limit=3")
    rest = episodes(client, owner, run_id, "?limit=3&after={attempt}.{number}".format(**first[-1]))
    assert numbers(first + rest) == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2)]
    assert numbers(episodes(client, owner, run_id, "?attempt=2")) == [(2, 1), (2, 2)]
    newest, older = (client.get(f"{URL}/{run_id}/episodes/1{query}", headers=owner) for query in ("", "?attempt=1"))
    assert (newest.data, older.data) == (sequence_of(ODD[1:]), sequence_of(ODD))


def test_a_piece_that_is_told_twice_is_kept_once(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    for _ in range(2):
        record(app, played, run_id, *piece(ODD))
    record(app, played, run_id, *piece(ODD[1:], first=7))  # another content under the same name
    assert numbers(episodes(client, owner, run_id)) == [(1, 1)]
    assert client.get(f"{URL}/{run_id}/episodes/1", headers=owner).data == sequence_of(ODD)


def test_a_manifest_that_lies_is_set_aside(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    content, manifest = piece(ODD)
    manifest["episodes"][0]["size"] += 1
    record(app, played, run_id, content, manifest)
    assert episodes(client, owner, run_id) == []
    assert rows(app, REJECTED) == [f"Episode 1 ends after the {len(content)} bytes of its piece."]


def test_nobody_else_sees_a_runs_episodes(
    app: Flask, client: Client, stranger: Headers, node: Headers, played: PlayedNode, run_id: str
) -> None:
    record(app, played, run_id, *piece(ODD))
    for path in ("episodes", "episodes/1"):
        assert client.get(f"{URL}/{run_id}/{path}", headers=stranger).status_code == 404
        assert client.get(f"{URL}/{run_id}/{path}", headers=node).status_code == 401
        assert client.get(f"{URL}/{run_id}/{path}").status_code == 401


def test_what_was_not_recorded_is_not_found(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    record(app, played, run_id, *piece(ODD))
    for path in ("episodes/2", "episodes/0", "episodes/99999999999999999999", "episodes/1?attempt=2"):
        answer = client.get(f"{URL}/{run_id}/{path}", headers=owner)
        assert (answer.status_code, answer.json["detail"][-1]) == (404, "."), path


def test_a_bad_page_is_refused_with_a_sentence(client: Client, owner: Headers, run_id: str) -> None:
    for query in ("after=1", "after=1.x", "after=-1.2", "after=1.99999999999", "limit=-1", "limit=x", "attempt=1.5"):
        answer = client.get(f"{URL}/{run_id}/episodes?{query}", headers=owner)
        assert (answer.status_code, answer.json["detail"][-1]) == (422, "."), query


@pytest.mark.parametrize(("asked", "policy"), [
    (None, {"every": 1, "max_mb": 50}), ({}, {"every": 1, "max_mb": 50}), ({"every": 0}, {"every": 0, "max_mb": 50}),
    ({"every": 10, "max_mb": 5}, {"every": 10, "max_mb": 5}), ({"max_mb": 0}, {"every": 1, "max_mb": 0}),
])  # fmt: skip
def test_a_job_says_what_of_it_is_recorded(
    shared_client: Client, owner: Headers, asked: Any, policy: dict[str, int]
) -> None:
    job = shared_client.post(URL, json=body(**({} if asked is None else {"recording": asked})), headers=owner).json
    assert job["recording"] == policy
    assert shared_client.get(f"{URL}/{job['run_id']}", headers=owner).json["recording"] == policy


def test_more_than_may_be_recorded_is_refused(shared_client: Client, owner: Headers) -> None:
    wrong: list[Any] = [{"max_mb": 51}, {"max_mb": -1}, {"every": -1}, {"every": 1.5}, {"every": "1"}, 7]
    for asked in wrong:
        answer = shared_client.post(URL, json=body(recording=asked), headers=owner)
        assert (answer.status_code, answer.json["detail"][-1]) == (422, "."), asked


def test_a_node_is_told_what_is_left_of_the_bound(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    run_id = client.post(URL, json=body(recording={"every": 2, "max_mb": 3}), headers=owner).json["run_id"]
    assert played.claim(run_id).json["spec"]["recording"] == {"every": 2, "max_mb": 3}
    record(app, played, run_id, *piece([b'{"a":"' + b"x" * 1_500_000 + b'"}']))
    played.lose(run_id)
    assert played.claim(run_id, 2).json["spec"]["recording"] == {"every": 2, "max_mb": 1}


def test_a_deleted_runs_recordings_are_deleted(
    app: Flask, client: Client, owner: Headers, played: PlayedNode, run_id: str
) -> None:
    record(app, played, run_id, *piece(ODD))
    (key,) = rows(app, "SELECT key FROM episodes")
    storage = parts(app).storage
    assert storage.read_range(key, 0, 1) == b"\x1e"
    client.delete(f"{URL}/{run_id}", headers=owner)
    played.hand_in(run_id, status="failed")
    played.finish(run_id)
    sweeper = Sweeper(app, None, storage, lease_seconds=25, every_seconds=1)  # type: ignore[arg-type]
    with app.app_context():
        sweeper.purge_deleted()
        sweeper.delete_dropped()
    assert rows(app, "SELECT number FROM episodes") == []
    assert list(storage.keys(f"artifacts/{run_id}", timedelta(minutes=-1))) == []
