"""A node's token is good for the attempts that the node holds: what another node holds it neither sees nor changes."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from coordinator.extensions import db
from coordinator.models import Attempt, BuildCheck, Job
from tests.conftest import Template
from tests.jobs import URL, Client, bearer, body
from tests.played_node import CHECKPOINT, PlayedNode
from wire.names import NODE_API

Headers = dict[str, str]
CHECK = {"error": None, "seconds": 1.0, "found": {}}


@pytest.fixture
def other(template: Template) -> Headers:
    """A node that holds nothing."""
    return bearer(template.other_node)


@pytest.fixture
def held(app: Flask, client: Client, owner: Headers, played: PlayedNode, build_id: UUID) -> str:
    """A run in its second attempt, with a checkpoint and a build, which the played node holds."""
    run_id = str(client.post(URL, json=body(), headers=owner).json["run_id"])
    played.train(run_id)
    client.post(URL, json=body(run_id=run_id), headers=owner)
    with app.app_context():
        db.session.execute(update(Job).where(Job.run_id == UUID(run_id)).values(build_id=build_id))
        db.session.commit()
    assert played.claim(run_id, 2).status_code == 200
    return run_id


def lease_of(app: Flask, run_id: str) -> Any:
    with app.app_context():
        return db.session.scalar(select(Attempt.lease_until).where(Attempt.run_id == UUID(run_id), Attempt.number == 2))


@pytest.mark.parametrize(("path", "content", "status"), [
    ("/attempts/{run}/2/uploads", {"name": "model.onnx"}, 409),
    ("/attempts/{run}/2/handed-in", {}, 409),
    ("/attempts/{run}/2/again", {}, 409),
    ("/attempts/{run}/1/uploads", {"name": "model.onnx"}, 409),
    ("/attempts/{run}/1/handed-in", {}, 409),
    ("/claims", {"run_id": "{run}", "attempt": 2, "claim": str(uuid4())}, 409),
    ("/builds/{build}/link", {}, 409),
    ("/builds/{build}/check", CHECK, 404),
], ids=lambda it: it if isinstance(it, str) else "")  # fmt: skip
def test_another_nodes_call_is_refused_and_changes_nothing(
    app: Flask, client: Client, other: Headers, held: str, build_id: UUID, path: str, content: Any, status: int
) -> None:
    before = lease_of(app, held)
    content = {name: held if value == "{run}" else value for name, value in content.items()}
    answer = client.post(NODE_API + path.format(run=held, build=build_id), json=content, headers=other)
    assert answer.status_code == status, answer.json
    assert lease_of(app, held) == before
    with app.app_context():
        assert db.session.scalars(select(BuildCheck)).all() == []


def test_another_nodes_heartbeat_is_told_that_the_attempt_is_not_its_own_and_prolongs_no_lease(
    app: Flask, client: Client, other: Headers, held: str
) -> None:
    before = lease_of(app, held)
    answer = client.post(f"{NODE_API}/attempts/{held}/2/heartbeat", json={}, headers=other)
    assert (answer.json, lease_of(app, held)) == ({"answer": "not yours"}, before)


def test_a_checkpoint_is_for_the_node_whose_training_needs_it_and_while_it_does(
    client: Client, node: Headers, other: Headers, held: str, played: PlayedNode
) -> None:
    address = f"{URL}/{held}/checkpoint"
    assert client.get(address, headers=node).data == CHECKPOINT
    assert client.get(address, headers=other).status_code == 404
    assert client.get(f"{URL}/{uuid4()}/checkpoint", headers=node).status_code == 404
    played.hand_in(held, attempt=2, status="failed", error="It failed.")
    played.finish(held, 2)
    assert client.get(address, headers=node).status_code == 404


def test_a_checkpoint_is_also_for_the_node_whose_training_begins_with_its_weights(
    client: Client, owner: Headers, other: Headers, held: str, played: PlayedNode, template: Template, app: Flask
) -> None:
    follower = client.post(URL, json=body(initialize_from=held), headers=owner).json["run_id"]
    address = f"{URL}/{held}/checkpoint"
    assert client.get(address, headers=other).status_code == 404
    PlayedNode(app, other).claim(follower)
    assert client.get(address, headers=other).data == CHECKPOINT


def test_a_node_may_tell_of_a_build_that_it_was_given_also_after_its_attempt(
    held: str, build_id: UUID, played: PlayedNode
) -> None:
    assert played.post(f"/builds/{uuid4()}/check", CHECK).status_code == 404
    played.lose(held, 2)
    assert played.post(f"/builds/{build_id}/check", CHECK).status_code == 200
    assert played.post(f"/builds/{build_id}/link", {}).status_code == 409


def test_a_node_gets_no_link_to_upload_to_an_attempt_that_has_ended(held: str, played: PlayedNode) -> None:
    assert played.post(f"/attempts/{held}/2/uploads", {"name": "log.txt"}).status_code == 200
    assert played.post(f"/attempts/{held}/1/uploads", {"name": "log.txt"}).status_code == 409
    played.lose(held, 2)
    assert played.post(f"/attempts/{held}/2/uploads", {"name": "log.txt"}).status_code == 409
    assert played.heartbeat(held, 2).json == {"answer": "not yours"}


def test_a_machines_check_is_of_a_file_of_its_own(client: Client, node: Headers, other: Headers) -> None:
    links = [client.post(f"{NODE_API}/check", json={}, headers=who).json["put"].partition("?")[0]
             for who in (node, other)]  # fmt: skip
    assert links[0] != links[1]
