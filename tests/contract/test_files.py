"""The files of a job: listed, fetched one by one and as a zip; its models by version."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from coordinator.config import Config
from coordinator.parts import parts
from services.ports import free_ports
from tests.conftest import running
from tests.integration.database import rows
from tests.jobs import URL, Client, body, metric
from tests.played_node import CHECKPOINT, MODEL, PlayedNode

Headers = dict[str, str]
LOG = b"[INFO] Learning was interrupted.\n" * 100_000


@pytest.fixture
def run_id(client: Client, owner: Headers) -> str:
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def trained(run_id: str, played: PlayedNode) -> str:
    """Trained twice: a first attempt that was stopped at 20 000 steps, a second one to the end."""
    played.claim(run_id)
    played.say(run_id, metric(10_000, 0.1), metric(20_000, 0.2))
    played.checkpoint(run_id, 10_000)
    stopped = [
        played.upload(run_id, "model", b"half a model", step=20_000, manifest={"steps": 20_000}),
        played.upload(run_id, "checkpoint", b"half way", step=20_000),
        played.upload(run_id, "log", b"first log"),
    ]
    played.hand_in(run_id, *stopped, status="interrupted", facts_sent=2, steps=20_000)
    played.finish(run_id)
    played.claim(run_id, 2)
    played.say(run_id, metric(30_000, None), metric(50_000, 0.9), attempt=2)
    done = [
        played.upload(run_id, "model", MODEL, 2, step=50_000, manifest={"behaviour": "Reach1D", "steps": 50_000}),
        played.upload(run_id, "checkpoint", CHECKPOINT, 2, step=50_000),
        played.upload(run_id, "log", LOG, 2),
        played.upload(run_id, "environment_log", b"", 2, name="unity-1.log"),
        played.upload(run_id, "recording", b"\x1e{}\n", 2, name="recording-1.json-seq"),
        played.upload(run_id, "tensorboard", b"events", 2, name="events.out.tfevents.1.host.2.0"),
    ]
    played.hand_in(run_id, *done, attempt=2, facts_sent=2, steps=50_000, mean_reward=0.9)
    played.finish(run_id, 2)
    return run_id


def get(client: Client, headers: Headers, run_id: str, path: str) -> Any:
    return client.get(f"{URL}/{run_id}/{path}", headers=headers)


def test_the_list_holds_every_file_of_every_attempt(client: Client, owner: Headers, trained: str) -> None:
    files = get(client, owner, trained, "files").json
    assert [(file["attempt"], file["name"]) for file in files] == [
        (1, "checkpoint-10000.pt"), (1, "checkpoint.pt"), (1, "model.onnx"), (1, "trainer.log"),
        (2, "checkpoint.pt"), (2, "events.out.tfevents.1.host.2.0"), (2, "model.onnx"), (2, "recording-1.json-seq"),
        (2, "trainer.log"), (2, "unity-1.log"), (None, "metrics_data.json"),
    ]  # fmt: skip
    log = files[8]
    assert (log["kind"], log["size"], log["sha256"]) == ("log", len(LOG), hashlib.sha256(LOG).hexdigest())
    assert (files[0]["kind"], files[0]["step"]) == ("checkpoint", 10_000)
    assert [file["name"] for file in get(client, owner, trained, "files?attempt=1").json][:2] == [
        "checkpoint-10000.pt", "checkpoint.pt",
    ]  # fmt: skip


def test_a_file_is_the_newest_attempts_or_the_one_that_was_asked_for(
    client: Client, owner: Headers, trained: str
) -> None:
    newest = get(client, owner, trained, "files/trainer.log")
    assert (newest.status_code, newest.data) == (200, LOG)
    assert newest.headers["Content-Length"] == str(len(LOG))
    assert newest.headers["Content-Disposition"] == "attachment; filename=trainer.log"
    assert get(client, owner, trained, "files/trainer.log?attempt=1").data == b"first log"
    assert get(client, owner, trained, "files/unity-1.log").data == b""
    head = client.head(f"{URL}/{trained}/files/trainer.log", headers=owner)
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(LOG)))


def test_the_zip_holds_the_newest_of_each_but_no_recordings(client: Client, owner: Headers, trained: str) -> None:
    answer = get(client, owner, trained, "files.zip")
    assert answer.headers["Content-Disposition"] == f"attachment; filename={trained}.zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [
            "checkpoint.pt", "events.out.tfevents.1.host.2.0", "metrics_data.json", "model.onnx", "trainer.log",
            "unity-1.log",
        ]  # fmt: skip
        assert archive.read("trainer.log") == LOG
        assert archive.getinfo("model.onnx").file_size == len(MODEL)
        metrics = json.loads(archive.read("metrics_data.json"))
    assert [(line["msg_id"], line["step"], line["mean_reward"]) for line in metrics] == [
        (0, 10_000, 0.1), (0, 20_000, 0.2), (0, 50_000, 0.9),
    ]  # fmt: skip
    assert client.head(f"{URL}/{trained}/files.zip", headers=owner).status_code == 200
    with zipfile.ZipFile(io.BytesIO(get(client, owner, trained, "files.zip?attempt=1").data)) as archive:
        assert archive.read("checkpoint.pt") == b"half way"
        assert archive.read("trainer.log") == b"first log"


def test_models_have_versions_and_manifests(client: Client, owner: Headers, trained: str) -> None:
    first, second = get(client, owner, trained, "models").json
    assert (first["version"], first["steps"], first["sha256"]) == (
        1, 20_000, hashlib.sha256(b"half a model").hexdigest(),
    )  # fmt: skip
    assert (second["version"], second["behaviour"], second["env_id"], second["size"], second["attempt"]) == (
        2, "Reach1D", "reach1d", len(MODEL), 2,
    )  # fmt: skip
    assert get(client, owner, trained, "nn-model").data == MODEL
    assert get(client, owner, trained, "nn-model?version=1").data == b"half a model"
    unknown = get(client, owner, trained, "nn-model?version=3")
    assert unknown.status_code == 404
    assert unknown.json["detail"] == f"Run {trained} has no model of version 3; its newest is 2."
    newest = {"version": 2, "sha256": hashlib.sha256(MODEL).hexdigest(), "size": len(MODEL)}
    assert client.get(f"{URL}/{trained}", headers=owner).json["model"] == newest
    assert client.get(URL, headers=owner).json[0]["model"] == newest


def test_a_run_that_has_just_come_has_no_files(client: Client, owner: Headers, run_id: str) -> None:
    assert client.get(f"{URL}/{run_id}", headers=owner).json["model"] is None
    assert get(client, owner, run_id, "models").json == []
    assert [file["name"] for file in get(client, owner, run_id, "files").json] == ["metrics_data.json"]
    assert get(client, owner, run_id, "files/metrics_data.json").json is None  # a file, not an answer in JSON
    assert get(client, owner, run_id, "files/metrics_data.json").data == b"[]"
    answer = get(client, owner, run_id, "files.zip")
    assert (answer.status_code, answer.json["detail"]) == (409, f"Run {run_id} has no files yet: it is SUBMITTED.")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("files/trainer.txt", 404, "There is no file 'trainer.txt' of run {}."),
        ("files/trainer.log?attempt=3", 404, "There is no file 'trainer.log' of attempt 3 of run {}."),
        ("files/trainer.log?attempt=x", 422, "attempt: It must be a whole number, not 'x'."),
        ("files/..%2F..%2Fetc%2Fpasswd", 404, "There is nothing at this address."),
        ("files?attempt=-1", 422, "attempt: It must be a whole number, not '-1'."),
        ("nn-model?version=", 422, "version: It must be a whole number, not ''."),
        ("metrics?attempt=1.5", 422, "attempt: It must be a whole number, not '1.5'."),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    client: Client, owner: Headers, run_id: str, path: str, status: int, sentence: str
) -> None:
    answer = get(client, owner, run_id, path)
    assert (answer.status_code, answer.json["detail"]) == (status, sentence.format(run_id))


@pytest.mark.parametrize("path", ["files", "files/trainer.log", "files.zip", "models", "nn-model?version=1"])
def test_files_are_the_owners_only(client: Client, stranger: Headers, node: Headers, run_id: str, path: str) -> None:
    answers = [client.get(f"{URL}/{run_id}/{path}", headers=headers) for headers in ({}, node, stranger)]
    assert [answer.status_code for answer in answers] == [401, 401, 404]


@pytest.fixture
def without_s3(config: Config, trained: str) -> Iterator[Flask]:
    with running(replace(config, s3_endpoint_url=f"http://127.0.0.1:{free_ports(1, set())[0]}")) as app:
        yield app


def test_while_s3_is_away_files_are_there_again_soon(without_s3: Flask, owner: Headers, trained: str) -> None:
    client: Client = without_s3.test_client()
    assert [get(client, owner, trained, path).status_code for path in ("files/trainer.log", "files.zip")] == [503, 503]
    assert get(client, owner, trained, "files").status_code == 200


PARTS = {
    "bytes=0-0": slice(0, 1), "bytes=7-": slice(7, None), "bytes=3-5": slice(3, 6), "bytes=-4": slice(-4, None),
    "bytes=5-999999999999999999999": slice(5, None), "bytes=-999999999": slice(None),
}  # fmt: skip
"""What a request may ask for, and which bytes that are."""


@pytest.mark.parametrize("path", ["nn-model", "files/metrics_data.json", "files/model.onnx?attempt=1"])
def test_a_file_comes_in_parts_to_whoever_asks_for_that(
    client: Client, owner: Headers, trained: str, path: str
) -> None:
    whole = get(client, owner, trained, path)
    assert whole.headers["Accept-Ranges"] == "bytes"
    for asked, which in PARTS.items():
        answer = get(client, owner | {"Range": asked}, trained, path)
        start, stop, _ = which.indices(len(whole.data))
        assert (answer.status_code, answer.data) == (206, whole.data[which])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole.data)}"
        assert answer.headers["Content-Length"] == str(stop - start)
        assert answer.headers["ETag"] == whole.headers["ETag"]


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=5-2", "bytes=x", "bytes=", "lines=0-1", "", "bytes=--1"])
def test_to_whatever_else_is_asked_for_it_comes_whole(client: Client, owner: Headers, trained: str, asked: str) -> None:
    answer = get(client, owner | {"Range": asked}, trained, "nn-model")
    assert (answer.status_code, answer.data) == (200, MODEL)


def test_a_download_goes_on_only_while_the_file_is_the_same(client: Client, owner: Headers, trained: str) -> None:
    etag = get(client, owner, trained, "nn-model").headers["ETag"]
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    for condition, status in ((etag, 206), (f"W/{etag}", 200), ('"another"', 200), (date, 200)):
        headers = owner | {"Range": "bytes=2-", "If-Range": condition}
        answer = get(client, headers, trained, "nn-model")
        assert (answer.status_code, answer.data) == (status, MODEL[2:] if status == 206 else MODEL)
    assert get(client, owner | {"Range": "bytes=2-", "If-None-Match": etag}, trained, "nn-model").status_code == 304
    head = client.head(f"{URL}/{trained}/nn-model", headers=owner | {"Range": "bytes=2-"})
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(MODEL)))


@pytest.mark.parametrize(("path", "asked", "size"), [
    ("nn-model", f"bytes={len(MODEL)}-", len(MODEL)), ("nn-model", "bytes=99999-100000", len(MODEL)),
    ("files/unity-1.log", "bytes=0-", 0),
])  # fmt: skip
def test_a_part_that_a_file_does_not_have_is_refused(
    client: Client, owner: Headers, trained: str, path: str, asked: str, size: int
) -> None:
    answer = get(client, owner | {"Range": asked}, trained, path)
    assert (answer.status_code, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.json["detail"] == f"The file has {size} bytes, and no such part."
    assert answer.headers["Content-Range"] == f"bytes */{size}"


@pytest.mark.parametrize("asked", ["bytes=1-", "bytes=3-", "bytes=-1"])
def test_no_part_comes_of_a_file_that_is_damaged_in_storage(
    app: Flask, client: Client, owner: Headers, trained: str, asked: str
) -> None:
    (key,) = rows(app, "SELECT key FROM artifacts WHERE name = 'model.onnx' AND attempt = 2")
    storage = parts(app).storage
    storage.s3.put_object(Bucket=storage.bucket, Key=key, Body=b"ab")
    answer = get(client, owner | {"Range": asked}, trained, "nn-model")
    assert (answer.status_code, answer.json["code"]) == (410, "gone")
    assert answer.json["detail"].startswith("The file in storage is damaged: it has")
