"""Links to S3 in the wrong hands, or at the wrong time: what they let in never takes the place of what was verified."""

import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests

from coordinator.config import Config
from coordinator.storage import Storage
from services.platform import Platform, wait_until
from tests import builds
from tests.acceptance.viewers import submit
from tests.attacks.web import Web
from tests.jobs import URL, bearer
from tests.stub_node import MODEL, StubNode
from wire.names import build_key, staging_key

EVIL = b"evil"
REFUSED = (400, 403, 404)


@pytest.fixture(scope="module")
def storage(platform: Platform) -> Storage:
    """The platform's, as the coordinator has it."""
    return Storage(Config.from_environment(platform.env))


def put(link: str, content: bytes = EVIL, method: str = "PUT", **headers: str) -> int:
    return requests.request(method, link, data=content, headers=headers, timeout=30).status_code


def announced(platform: Platform, content: bytes) -> Any:
    """An upload that has begun, of an environment of its own."""
    body = {"env_id": str(uuid4()), "version": "1", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    answer = Web(platform).post(builds.URL, json=body, headers=bearer(platform.token))
    assert answer.status_code == 200, answer.text
    return answer.json


def verified(platform: Platform, begun: Any, done: list[dict[str, Any]]) -> Any:
    """The version as it is shown once `results` has looked at it."""
    web, headers = Web(platform), bearer(platform.token)
    builds.complete(web, headers, begun, done)

    def shown() -> Any:
        return web.get(f"{builds.URL}/{begun['env_id']}", headers=headers).json["versions"][0]

    wait_until(lambda: shown()["state"] in ("READY", "REJECTED"), 30, "the verification")
    return shown()


TRICKS: dict[str, Callable[[str], str]] = {
    "another part": lambda link: link.replace("partNumber=1", "partNumber=2"),
    "another upload": lambda link: link.replace("uploadId=", "uploadId=0"),
    "the whole object": lambda link: link.replace("partNumber=1&", ""),
    "another key": lambda link: link.replace("/builds/", "/builds/0"),
    "a key of models": lambda link: link.replace("/builds/", "/artifacts/"),
    "a key above": lambda link: link.replace("/builds/", "/builds/%2e%2e/artifacts/"),
    "another bucket": lambda link: link.replace("/train-jobs/", "/other-jobs/"),
    "more time": lambda link: link.replace("X-Amz-Expires=3600", "X-Amz-Expires=604800"),
    "no time": lambda link: link.replace("X-Amz-Expires=3600&", ""),
    "other headers": lambda link: link.replace("content-length%3Bhost", "host"),
    "an access list": lambda link: link + "&acl",
    "another answer": lambda link: link + "&response-content-type=text%2Fhtml",
    "no signature": lambda link: link.partition("?")[0],
}


def test_a_link_is_good_for_one_part_and_for_nothing_else(platform: Platform) -> None:
    content = builds.archive()
    link = announced(platform, content)["parts"][0]["url"]
    for what, trick in TRICKS.items():
        assert trick(link) != link, what
        assert put(trick(link), content) in REFUSED, what
    for method in ("GET", "HEAD", "DELETE", "POST"):
        assert put(link, content, method) >= 400, method
    for header in ("x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-tagging", "x-amz-storage-class"):
        assert put(link, content, **{header: "/train-jobs/artifacts/x"}) in REFUSED, header
    for wrong in (content + b"!", content[:-1], b""):
        assert put(link, wrong) in REFUSED  # S3 takes as many bytes as were announced, so nobody fills it
    assert put(link, content) == 200


def test_a_link_is_good_for_its_time(storage: Storage) -> None:
    key, params = f"builds/{uuid4()}", {"Bucket": storage.bucket, "ContentLength": len(EVIL)}
    upload = {"Key": key, "UploadId": storage.begin_upload(key), "PartNumber": 1}
    link = storage.signer.generate_presigned_url("upload_part", Params=params | upload, ExpiresIn=1)
    wait_until(lambda: put(link) in REFUSED, 10, "the end of the link")


def test_a_build_that_is_ready_is_not_changed_by_its_old_links(platform: Platform, storage: Storage) -> None:
    content = builds.archive()
    begun = announced(platform, content)
    build = verified(platform, begun, builds.put(begun, content))
    assert build["state"] == "READY", build
    link = begun["parts"][0]["url"]
    assert put(link, content[::-1]) in REFUSED
    assert put(link.replace("partNumber=1&", "").partition("&uploadId")[0], EVIL) in REFUSED
    stored = b"".join(storage.read(build_key(build["id"])))
    assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(content).hexdigest()


def test_a_part_that_is_put_again_after_its_receipt_does_not_pass(platform: Platform) -> None:
    content = builds.archive()
    begun = announced(platform, content)
    done = builds.put(begun, content)
    is_taken = put(begun["parts"][0]["url"], content[:-1] + bytes([content[-1] ^ 1])) == 200  # some S3 servers do
    assert verified(platform, begun, done)["state"] == ("REJECTED" if is_taken else "READY")


def test_a_model_is_not_changed_by_the_link_it_came_by(
    platform: Platform, stub_node: StubNode, storage: Storage
) -> None:
    run_id = str(submit(platform.url, platform.token)["run_id"])
    stub_node.claim(run_id)
    answer = requests.post(f"{platform.url}/api/v1/node/attempts/{run_id}/1/uploads", json={"name": "model.onnx"},
                           headers=bearer(platform.node_token), timeout=30)  # fmt: skip
    link = answer.json()["url"]
    stub_node.succeed(run_id)
    web, headers, path = Web(platform), bearer(platform.token), f"{URL}/{run_id}"
    wait_until(lambda: web.get(path, headers=headers).json["state"] == "SUCCEEDED", 30, "the end of the job")
    assert put(link) == 200  # into staging, where nobody looks any more
    assert web.get(f"{path}/nn-model", headers=headers).data == MODEL
    version = web.get(f"{path}/models", headers=headers).json[0]
    assert version["sha256"] == hashlib.sha256(MODEL).hexdigest()
    (final,) = storage.keys(f"artifacts/{run_id}/", older_than=timedelta(seconds=-60))
    for key in (final, staging_key(run_id, 2, "model.onnx"), staging_key(uuid4(), 1, "model.onnx")):
        assert put(link.replace(staging_key(run_id, 1, "model.onnx"), key)) in REFUSED
    assert put(link, b"", "GET") in REFUSED
    assert put(link, b"", "DELETE") in REFUSED
    assert put(link, b"", **{"x-amz-copy-source": f"/{storage.bucket}/{final}"}) in REFUSED


def test_asking_for_the_same_link_ten_thousand_times_brings_it_once(platform: Platform) -> None:
    content = builds.archive()
    begun = announced(platform, content)
    path, began = f"{builds.URL}/{begun['env_id']}/versions/1/parts", time.monotonic()
    answer = Web(platform).post(path, json={"numbers": [1] * 10_000}, headers=bearer(platform.token))
    assert [part["number"] for part in answer.json["parts"]] == [1]
    assert time.monotonic() - began < 5
    assert answer.json["parts"][0]["url"].partition("?")[0].endswith(build_key(begun["id"]))
