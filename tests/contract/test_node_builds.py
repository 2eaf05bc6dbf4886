"""A node that trains in a build of the store asks for a fresh link to it; nobody else gets one."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import requests
from flask import Flask
from sqlalchemy import update

from coordinator.extensions import db
from coordinator.models import Job
from node import builds
from node.builds import environment_hash
from node.central import Central
from node.config import Config
from node.lease import Stop
from tests.builds import ready
from tests.conftest import Template
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode
from wire.jobs import JobSpec
from wire.names import NODE_API

Headers = dict[str, str]


@pytest.fixture
def run_id(app: Flask, client: Client, owner: Headers, build_id: UUID) -> str:
    """A job that trains in it."""
    return job_in(app, client, owner, build_id)


def job_in(app: Flask, client: Client, owner: Headers, build_id: UUID) -> str:
    made = str(client.post(URL, json=body(), headers=owner).json["run_id"])
    with app.app_context():
        db.session.execute(update(Job).where(Job.run_id == UUID(made)).values(build_id=build_id))
        db.session.commit()
    return made


def test_a_node_that_trains_in_a_build_gets_a_fresh_link(played: PlayedNode, run_id: str, build_id: UUID) -> None:
    played.claim(run_id)
    answer = played.post(f"/builds/{build_id}/link", {})
    assert answer.status_code == 200
    assert requests.get(answer.json["url"], timeout=10).content == b"build"
    rest = requests.get(answer.json["url"], headers={"Range": "bytes=3-"}, timeout=10)
    assert (rest.headers["Content-Range"], rest.content) == ("bytes 3-4/5", b"ld")  # some servers say 200 to it


def test_a_node_gets_no_link_before_its_claim_and_none_after_the_end(
    played: PlayedNode, run_id: str, build_id: UUID
) -> None:
    assert played.post(f"/builds/{build_id}/link", {}).status_code == 409
    played.train(run_id)
    refusal = played.post(f"/builds/{build_id}/link", {})
    assert refusal.status_code == 409
    assert refusal.json["detail"] == f"You hold no attempt of a job that trains in build {build_id}."


def test_nobody_else_gets_a_link(
    played: PlayedNode, client: Client, owner: Headers, template: Template, run_id: str, build_id: UUID
) -> None:
    played.claim(run_id)
    address = f"{NODE_API}/builds/{build_id}/link"
    assert client.post(address, json={}, headers=bearer(template.other_node)).status_code == 409
    assert client.post(address, json={}, headers=owner).status_code == 401
    assert client.post(address, json={}).status_code == 401
    assert client.post(f"{NODE_API}/builds/not-an-id/link", json={}, headers=owner).status_code == 404
    assert played.post(f"/builds/{uuid4()}/link", {}).status_code == 409


def test_a_node_is_to_check_a_build_until_it_has_told_that_it_runs(
    played: PlayedNode, client: Client, owner: Headers, app: Flask, build_id: UUID
) -> None:
    def is_asked() -> bool:
        run_id = job_in(app, client, owner, build_id)
        spec = played.claim(run_id).json["spec"]
        assert spec["build"]["id"] == str(build_id)
        return bool(spec["needs_check"])

    assert is_asked()
    for error, again in (("It did not start.", True), (None, False)):
        told = played.post(f"/builds/{build_id}/check", {"error": error, "seconds": 1.5, "found": {}})
        assert told.status_code == 200
        assert is_asked() is again


def test_what_was_uploaded_is_what_a_node_trains_in(
    app: Flask, played: PlayedNode, client: Client, owner: Headers, tmp_path: Path
) -> None:
    """Through the store, the claim and S3, to the folder on the node."""
    ready(app, client, owner, "1")
    wanted = {"behavior_name": "Walk", "steps": 100}
    job = client.post(URL, json=body(env_config__env_id="maze@1", env_config__num_of_areas=1, nn_model_config=wanted),
                      headers=owner)  # fmt: skip
    assert job.status_code == 200, job.json
    spec = JobSpec.from_wire(played.claim(job.json["run_id"]).json["spec"])
    assert (spec.needs_check, spec.env_version) == (True, "1")
    config, nobody = Config(node_data_dir=str(tmp_path)), Central("http://127.0.0.1:9", "no token")
    with builds.provide(config, replace(spec, needs_check=False), nobody, tmp_path, Stop()) as build:
        assert (build.folder / "maze.x86_64").stat().st_mode & 0o777 == 0o555
        assert build.manifest["behaviours"]["Walk"]["configuration"] == {
            "behaviors": {"Walk": {"trainer_type": "ppo", "max_steps": 100}}
        }
        assert spec.build
        assert environment_hash(build) == spec.build["sha256"]
