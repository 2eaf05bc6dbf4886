"""Builds are uploaded straight to S3, looked into, and then named by jobs; nobody else's are touched."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
import requests
from flask import Flask

from coordinator import builds, verification
from coordinator.accounts import installation, users
from coordinator.errors import Unavailable
from coordinator.parts import parts
from services.platform import ROOT
from tests.archives import FORMATS, pack
from tests.builds import (
    CONFIGURATION,
    MANIFEST,
    URL,
    announce,
    archive,
    complete,
    files,
    put,
    ready,
    shown,
    uploaded,
    verified,
)
from tests.integration.database import change, outbox, rows
from tests.jobs import URL as JOBS
from tests.jobs import Client, body
from tests.played_node import PlayedNode
from wire.names import NODE_API, TASK_VERIFY, build_key

Headers = dict[str, str]
JOB: dict[str, Any] = {"env_config__env_id": "maze", "env_config__num_of_areas": 2, "nn_model_config__steps": 100,
                       "nn_model_config__behavior_name": "Walk"}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_a_build_is_uploaded_verified_and_shown(app: Flask, client: Client, owner: Headers, form: str) -> None:
    ready(app, client, owner, form=form)
    found = shown(client, owner)
    assert found["behaviours"]["Walk"]["configuration"] == {
        "behaviors": {"Walk": {"trainer_type": "ppo", "max_steps": 100}}
    }
    assert (found["files"], found["kind"], found["executable"]) == (3, None, "maze.x86_64")
    assert found["unpacked_size"] == sum(map(len, [b"\x7fELF", CONFIGURATION, json.dumps(MANIFEST).encode()]))


def test_large_builds_go_up_in_parts(app: Flask, client: Client, owner: Headers) -> None:
    content = archive("tar", noise=os.urandom(17 * 1024**2))
    begun = announce(client, owner, content).json
    assert [part["number"] for part in begun["parts"]] == [1, 2]
    first = put(begun | {"parts": begun["parts"][:1]}, content)
    links = client.post(f"{URL}/maze/versions/1/parts", json={"numbers": [2]}, headers=owner).json["parts"]
    rest = put(begun | {"parts": links}, content)
    assert complete(client, owner, begun, first).status_code == 409
    assert complete(client, owner, begun, first + rest).json["state"] == "VERIFYING"
    verified(app, begun["id"])
    assert shown(client, owner)["state"] == "READY"


def test_verification_is_an_outbox_row_until_it_is_done(app: Flask, client: Client, owner: Headers) -> None:
    build = uploaded(client, owner, archive())
    waiting = rows(app, "SELECT build_id FROM outbox WHERE task = :task", task=TASK_VERIFY)
    assert waiting == [UUID(build["id"])]
    verified(app, build["id"])
    verified(app, build["id"])  # a second copy of the task
    verified(app, str(uuid4()))
    assert outbox(app) == []
    assert shown(client, owner)["state"] == "READY"


REJECTED: dict[str, tuple[Any, str]] = {
    "no executable": (lambda: archive(maze__x86_64=None), "The executable 'maze.x86_64' is not in the archive."),
    "no configuration": (lambda: archive(Walk__yaml=None), "'Walk.yaml', is not in the archive."),
    "no manifest": (lambda: archive(manifest__json=None), "There is no manifest.json in the archive, and none was"),
    "a manifest that lies": (
        lambda: archive(manifest=MANIFEST | {"env_id": "arena"}), "it was uploaded as 'maze'"),
    "a configuration of 10 MB": (lambda: archive(Walk__yaml=b"#" * 10 * 1024**2), "has more than 256 kB"),
    "unknown keys": (
        lambda: archive(Walk__yaml=b"behaviors:\n  Walk:\n    trainer_type: ppo\n    speed: 3\n"), "speed"),
    "a way out": (lambda: pack(files() | {"../evil": b""}), "leads out of its folder"),
    "no archive": (lambda: b"nonsense" * 100, "The archive is damaged, or is no zip or tar"),
}  # fmt: skip


@pytest.mark.parametrize("what", REJECTED)
def test_a_bad_build_is_rejected_with_a_sentence_and_deleted(
    app: Flask, client: Client, owner: Headers, what: str
) -> None:
    make, said = REJECTED[what]
    build = uploaded(client, owner, make())
    verified(app, build["id"])
    found = shown(client, owner)
    assert found["state"] == "REJECTED"
    assert said in found["error"]
    assert parts(app).storage.size(build_key(build["id"])) is None
    assert outbox(app) == []
    assert client.post(JOBS, json=body(**JOB), headers=owner).status_code == 422


def test_what_is_uploaded_must_be_what_was_announced(app: Flask, client: Client, owner: Headers) -> None:
    content = archive()
    begun = announce(client, owner, content).json
    other = bytes([*content[:-1], content[-1] ^ 1])
    complete(client, owner, begun, put(begun, other))
    verified(app, begun["id"])
    assert "The upload's SHA-256 is" in shown(client, owner)["error"]
    begun = announce(client, owner, content).json  # one that was rejected is replaced
    upload_id = parse_qs(urlsplit(begun["parts"][0]["url"]).query)["uploadId"][0]
    # a link for the wrong size: S3 holds everybody to the announced one
    link = parts(app).storage.part_link(build_key(begun["id"]), upload_id, 1, len(content) - 1)
    begun["parts"][0]["url"] = link
    complete(client, owner, begun, put(begun, content[:-1]))
    verified(app, begun["id"])
    assert shown(client, owner)["error"] == f"The upload has {len(content) - 1} bytes; {len(content)} were announced."


def test_parts_that_storage_does_not_have_are_no_upload(app: Flask, client: Client, owner: Headers) -> None:
    begun = announce(client, owner, archive()).json
    complete(client, owner, begun, [{"number": 1, "etag": '"0123456789abcdef0123456789abcdef"'}])
    verified(app, begun["id"])
    found = shown(client, owner)
    assert (found["state"], "Upload the build again." in found["error"]) == ("REJECTED", True)


def test_a_manifest_may_come_with_the_upload(app: Flask, client: Client, owner: Headers) -> None:
    ready(app, client, owner, manifest__json=None, form="tar.gz", sent=MANIFEST | {"name": "Sent"})
    assert client.get(f"{URL}/maze", headers=owner).json["name"] == "Sent"


def test_a_version_never_changes_and_a_name_belongs_to_its_first_user(
    app: Flask, client: Client, owner: Headers, stranger: Headers
) -> None:
    ready(app, client, owner)
    again = announce(client, owner, archive())
    assert (again.status_code, again.json["code"]) == (409, "conflict")
    taken = announce(client, stranger, archive(), "2")
    assert (taken.status_code, "belongs to another team" in taken.json["detail"]) == (409, True)
    for what in ("retire", "complete", "parts"):
        answer = client.post(
            f"{URL}/maze/versions/1/{what}", json={"parts": [{"number": 1, "etag": "e"}]}, headers=stranger
        )
        assert answer.status_code == 404
    assert shown(client, stranger)["state"] == "READY"


def test_what_is_not_ready_is_seen_by_its_owner_only(client: Client, owner: Headers, stranger: Headers) -> None:
    announce(client, owner, archive())
    assert shown(client, owner)["state"] == "UPLOADING"
    assert client.get(f"{URL}/maze", headers=stranger).status_code == 404
    assert [its["env_id"] for its in client.get(URL, headers=stranger).json] == ["cartpole", "reach1d"]
    assert [its["env_id"] for its in client.get(URL, headers=owner).json] == ["cartpole", "maze", "reach1d"]


def test_an_installed_environment_is_shown_like_the_others(client: Client, owner: Headers) -> None:
    found = client.get(f"{URL}/reach1d", headers=owner).json
    assert (found["source"], found["version"], found["kind"]) == ("installation", "1.0.0", "unity")
    assert "Reach1D" in found["versions"][0]["behaviours"]


def test_a_job_gets_the_newest_version_and_keeps_it(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    first = ready(app, client, owner, "1")
    job = client.post(JOBS, json=body(**JOB), headers=owner).json
    second = ready(app, client, owner, "2", form="tar.xz")
    newer = client.post(JOBS, json=body(**JOB), headers=owner).json
    older = client.post(JOBS, json=body(**JOB | {"env_config__env_id": "maze@1"}), headers=owner).json
    assert [its["env_version"] for its in (job, newer, older)] == ["1", "2", "1"]
    assert played.claim(newer["run_id"]).json["spec"]["build"]["id"] == second
    assert client.post(f"{URL}/maze/versions/1/retire", headers=owner).json["state"] == "RETIRED"
    refused = client.post(JOBS, json=body(**JOB | {"env_config__env_id": "maze@1"}), headers=owner)
    assert refused.json["detail"] == "Environment 'maze' has no version '1' that is ready. It has: 2."
    played.train(job["run_id"], steps=100)  # one that waited goes on, and may be resumed
    resumed = client.post(JOBS, json=body(**JOB | {"run_id": job["run_id"]}), headers=owner)
    assert resumed.status_code == 200, resumed.json
    spec = played.claim(job["run_id"], 2).json["spec"]
    assert (spec["build"]["id"], spec["env_version"], spec["max_steps"]) == (first, "1", 200)


def test_a_node_gets_the_build_with_its_claim_and_tells_how_it_ran(
    app: Flask, client: Client, owner: Headers, played: PlayedNode
) -> None:
    build = ready(app, client, owner)
    jobs = [client.post(JOBS, json=body(**JOB), headers=owner).json["run_id"] for _ in range(3)]
    spec = played.claim(jobs[0]).json["spec"]
    assert spec["needs_check"] is True
    assert spec["manifest"]["behaviours"]["Walk"]["configuration"]["behaviors"]["Walk"]
    found = requests.get(spec["build"]["url"], timeout=10).content
    assert (hashlib.sha256(found).hexdigest(), len(found)) == (spec["build"]["sha256"], spec["build"]["size"])
    said = {"error": None, "seconds": 1.5, "found": {"Walk": {"observation_shapes": [[8]]}}}
    assert played.post(f"/builds/{build}/check", said | {"error": "It did not start."}).status_code == 200
    assert shown(client, owner)["checks"][0]["error"] == "It did not start."
    assert played.claim(jobs[1]).json["spec"]["needs_check"] is True  # its machine may have got what was missing
    assert played.post(f"/builds/{build}/check", said).status_code == 200
    assert played.claim(jobs[2]).json["spec"]["needs_check"] is False
    (check,) = shown(client, owner)["checks"]
    assert (check["node"], check["error"], check["found"]) == ("node", None, said["found"])


@pytest.mark.parametrize(("said", "status"), [
    ({"error": "x" * 2_001}, 422), ({"error": "\0"}, 422), ({"found": {"a": "\0"}}, 422), ({"seconds": -1}, 422),
    ({"found": []}, 422), ({}, 404),
], ids=str)  # fmt: skip
def test_what_is_no_check_is_refused(played: PlayedNode, said: Any, status: int) -> None:
    assert played.post(f"/builds/{uuid4()}/check", said).status_code == status


def test_only_a_node_tells_how_a_build_ran(client: Client, owner: Headers) -> None:
    assert client.post(f"{NODE_API}/builds/{uuid4()}/check", json={}, headers=owner).status_code == 401


@pytest.mark.parametrize("changes", [
    {"env_id": "../maze"}, {"env_id": ""}, {"env_id": "a b"}, {"env_id": "m" * 65}, {"env_id": "maze@1"}, {"env_id": 1},
    {"version": "1/2"}, {"version": ".1"}, {"version": None}, {"sha256": "0" * 63}, {"sha256": "A" * 64}, {"size": 0},
    {"size": -1}, {"size": 2**70}, {"size": "10"}, {"size": 10_241 * 1024**2}, {"manifest": []}, {"manifest": {}},
    {"manifest": MANIFEST | {"name": "\0"}}, {"manifest": MANIFEST | {"kind": "godot"}},
    {"manifest": MANIFEST | {"version": "9"}},
], ids=lambda it: str(it)[:40])  # fmt: skip
def test_an_upload_that_makes_no_sense_is_refused(shared_client: Client, owner: Headers, changes: Any) -> None:
    answer = announce(shared_client, owner, b"x", **changes)
    assert answer.status_code == 422, answer.json
    assert answer.json["detail"].endswith(".")


def test_a_manifest_may_be_larger_than_other_bodies_but_not_without_end(shared_client: Client, owner: Headers) -> None:
    assert (
        announce(shared_client, owner, b"x", env_id="large", manifest=MANIFEST | {"x": "y" * 200_000}).status_code
        == 200
    )
    assert announce(shared_client, owner, b"x", manifest=MANIFEST | {"x": "y" * 600_000}).status_code == 413


@pytest.mark.parametrize("done", [
    [], [{"number": 0, "etag": "e"}], [{"number": 1, "etag": ""}], [{"number": 1, "etag": "a b"}], [{"number": "1"}],
    "1",
], ids=str)  # fmt: skip
def test_parts_that_make_no_sense_are_refused(shared_client: Client, owner: Headers, done: Any) -> None:
    announce(shared_client, owner, b"x")
    path = f"{URL}/maze/versions/1/complete"
    assert shared_client.post(path, json={"parts": done}, headers=owner).status_code == 422


def test_an_upload_is_complete_with_all_its_parts_only(shared_client: Client, owner: Headers) -> None:
    begun = announce(shared_client, owner, b"x").json
    part = {"number": 1, "etag": "e"}
    for done in ([part, part], [{"number": 2, "etag": "e"}], [part, {"number": 2, "etag": "e"}]):
        assert complete(shared_client, owner, begun, done).status_code == 409


def test_nobody_uploads_without_a_users_token(shared_client: Client, node: Headers) -> None:
    assert announce(shared_client, node, b"x").status_code == 401
    assert shared_client.get(URL, headers=node).status_code == 401
    assert shared_client.get(f"{URL}/maze").status_code == 401


def test_uploads_that_nobody_finishes_are_removed_after_a_day(app: Flask, client: Client, owner: Headers) -> None:
    forgotten, kept = announce(client, owner, archive()).json, announce(client, owner, archive(), "2").json
    change(app, "UPDATE builds SET created_at = now() - interval '25 hours' WHERE version = '1'")
    with app.app_context():
        builds.remove_unfinished(parts(app).storage)
    assert rows(app, "SELECT version FROM builds") == ["2"]
    assert requests.put(forgotten["parts"][0]["url"], data=archive(), timeout=10).status_code == 404
    assert requests.put(kept["parts"][0]["url"], data=archive(), timeout=10).status_code == 200


def test_two_copies_of_the_task_at_the_same_time_do_the_work_once(
    app: Flask, client: Client, owner: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = uploaded(client, owner, archive())
    began, may_go_on, looked = threading.Event(), threading.Event(), []

    def look(*of: Any) -> Any:
        looked.append(of)
        began.set()
        assert may_go_on.wait(60)
        return look_into(*of)

    look_into = verification._look_into
    monkeypatch.setattr(verification, "_look_into", look)
    first = threading.Thread(target=verified, args=(app, build["id"]))
    first.start()
    assert began.wait(60)
    verified(app, build["id"])
    assert shown(client, owner)["state"] == "VERIFYING"
    may_go_on.set()
    first.join(60)
    assert (shown(client, owner)["state"], len(looked)) == ("READY", 1)


def test_a_build_waits_for_an_s3_that_is_away(
    app: Flask, client: Client, owner: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = uploaded(client, owner, archive())

    def away(*of: Any) -> Any:
        raise Unavailable("Storage does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(parts(app).storage, "body", away)
        with pytest.raises(Unavailable):
            verified(app, build["id"])
    assert (shown(client, owner)["state"], outbox(app)) == ("VERIFYING", [(TASK_VERIFY, 0)])
    verified(app, build["id"])  # the upload is joined already
    assert (shown(client, owner)["state"], outbox(app)) == ("READY", [])


@pytest.mark.parametrize("name", ["reach1d", "cartpole"])
def test_what_comes_with_the_installation_can_be_uploaded_too(
    app: Flask, client: Client, owner: Headers, name: str
) -> None:
    with app.app_context():
        installation.change(users.named("owner"), is_operator=True)
    folder = ROOT / "environments" / name
    content = pack({f"{name}/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}, "tar.gz")
    build = uploaded(client, owner, content, "1.0.0", env_id=name)
    verified(app, build["id"])
    found = client.get(f"{URL}/{name}", headers=owner).json
    assert (found["versions"][0]["error"], found["version"], found["source"]) == (None, "1.0.0", "store")


def test_nobody_but_an_operator_takes_the_name_of_what_comes_with_the_installation(
    client: Client, owner: Headers, stranger: Headers
) -> None:
    """Everybody's jobs name it."""
    answer = announce(client, stranger, archive(), env_id="reach1d")
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert answer.json["detail"] == "Environment 'reach1d' comes with the installation: choose another name."
