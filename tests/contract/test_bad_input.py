"""Every error of the REST API is JSON with a sentence: what was wrong, and what would be right."""

import json
from typing import Any

import pytest

from tests.jobs import URL, Client, body

Headers = dict[str, str]
RUN = "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a"
STEPS, AREAS = "nn_model_config.steps", "env_config.num_of_areas"


def assert_says(answer: Any, status: int, *words: str) -> None:
    """A sentence, in the form that games know."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/json"
    detail = answer.json["detail"]
    assert detail.endswith(".")
    assert [word for word in words if word not in detail] == [], detail


@pytest.mark.parametrize(("changes", "words"), [
    ({"env_config__env_id": "1"}, ["There is no environment '1'. Available: cartpole, reach1d."]),
    ({"env_config__env_id": "../reach1d"}, ["There is no environment '../reach1d'. Available: cartpole, reach1d."]),
    ({"nn_model_config__behavior_name": "RobotWave"}, ["has no behaviour 'RobotWave'. Its behaviours: Reach1D."]),
    ({"nn_model_config__behavior_name": "Reach1D; rm -rf /"}, ["Its behaviours: Reach1D."]),
    ({"nn_model_config__steps": 999}, [f"{STEPS} must be between 1000 and 1000000, not 999."]),
    ({"nn_model_config__steps": 1_000_001}, [f"{STEPS} must be between 1000 and 1000000, not 1000001."]),
    ({"nn_model_config__steps": 0}, [STEPS, "greater than or equal to 1"]),
    ({"nn_model_config__steps": -1}, [STEPS, "greater than or equal to 1"]),
    ({"nn_model_config__steps": 10**30}, [STEPS, "less than or equal to"]),
    ({"nn_model_config__steps": "50000"}, [STEPS, "valid integer"]),
    ({"nn_model_config__steps": True}, [STEPS, "valid integer"]),
    ({"nn_model_config__steps": 1.5}, [STEPS, "valid integer"]),
    ({"nn_model_config__steps": 50_000.0}, [STEPS, "valid integer"]),
    ({"nn_model_config__steps": None}, [STEPS, "valid integer"]),
    ({"nn_model_config__steps": [50_000]}, [STEPS, "valid integer"]),
    ({"env_config__num_of_areas": 65}, [f"{AREAS} must be between 1 and 64, not 65."]),
    ({"env_config__num_of_areas": 0}, [AREAS]),
    ({"env_config__num_of_areas": "8"}, [AREAS, "valid integer"]),
    ({"env_config__agent_id": 1}, ["env_config.agent_id", "valid string"]),
    ({"env_config__agent_id": None}, ["env_config.agent_id", "valid string"]),
    ({"env_config__agent_id": "a\0b"}, ["env_config.agent_id", "NUL"]),
    ({"env_config__agent_id": "x" * 10_001}, ["env_config.agent_id", "at most 10000 characters"]),
    ({"env_config__env_id": "reach1d\0"}, ["env_config.env_id", "control characters"]),
    ({"env_config__env_id": ""}, ["env_config.env_id", "at least 1 character"]),
    ({"nn_model_config__behavior_name": "Reach1D\n"}, ["nn_model_config.behavior_name", "control characters"]),
    ({"agent_config": "\0"}, ["agent_config", "NUL"]),
    ({"agent_config": {"a": 1}}, ["agent_config", "valid string"]),
    ({"env_config": "reach1d"}, ["env_config", "an object"]),
    ({"env_config": None}, ["env_config", "an object"]),
    ({"nn_model_config": []}, ["nn_model_config", "an object"]),
    ({"run_id": "mine"}, ["run_id", "valid UUID"]),
    ({"run_id": 7}, ["run_id", "UUID"]),
], ids=lambda it: str(it)[:60])  # fmt: skip
def test_a_wrong_field_is_named(
    shared_client: Client, owner: Headers, changes: dict[str, Any], words: list[str]
) -> None:
    assert_says(shared_client.post(URL, json=body(**changes), headers=owner), 422, *words)


@pytest.mark.parametrize("missing", ["agent_config", "env_config", "nn_model_config"])
def test_a_missing_field_is_named(shared_client: Client, owner: Headers, missing: str) -> None:
    without = {name: value for name, value in body().items() if name != missing}
    assert_says(shared_client.post(URL, json=without, headers=owner), 422, f"{missing}: Field required.")


def test_several_wrong_fields_are_all_named(shared_client: Client, owner: Headers) -> None:
    answer = shared_client.post(URL, json={"agent_config": 1}, headers=owner)
    assert_says(answer, 422, "agent_config", "nn_model_config", "env_config")


@pytest.mark.parametrize("raw", [
    b"", b" ", b"{", b"nonsense", b"{'a':1}", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"\x00", b'{"a":NaN',
    b"[" * 60_000, b'{"a":' * 10_000, json.dumps(body(agent_config="half")).replace("half", "\\ud800").encode(),
    json.dumps(body(agent_config="half")).encode().replace(b"half", b"\xc3"),
    json.dumps(body()).replace("50000", "NaN").encode(), json.dumps(body()).replace("50000", "1e400").encode(),
], ids=lambda raw: repr(raw[:30]))  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(shared_client: Client, owner: Headers, raw: bytes) -> None:
    assert_says(shared_client.post(URL, data=raw, headers=owner), 422)


def test_a_body_beyond_the_limit_is_refused_with_the_limit(shared_client: Client, owner: Headers) -> None:
    answer = shared_client.post(URL, json=body(extra="x" * 65_536), headers=owner)
    assert_says(answer, 413, "The body may have at most 65536 bytes.")


def test_a_body_up_to_the_limit_is_read(shared_client: Client, owner: Headers) -> None:
    text = json.dumps(body()).encode()
    assert shared_client.post(URL, data=text + b" " * (65_536 - len(text)), headers=owner).status_code == 200


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("PUT", URL, "GET, POST"), ("PATCH", f"{URL}/{RUN}", "DELETE, GET"), ("POST", f"{URL}/{RUN}", "DELETE, GET"),
    ("GET", f"{URL}/{RUN}/cancel", "POST"), ("DELETE", f"{URL}/{RUN}/nn-model", "GET"),
])  # fmt: skip
def test_a_wrong_method_is_answered_with_the_right_ones(
    shared_client: Client, owner: Headers, method: str, path: str, allowed: str
) -> None:
    answer = shared_client.open(path, method=method, headers=owner)
    assert_says(answer, 405, "This address takes ", *allowed.split(", "))
    assert set(allowed.split(", ")) <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", [
    "/", "/api", "/api/v2/train-jobs", f"{URL}/", f"{URL}/7", f"{URL}/nonsense/nn-model", f"{URL}/{RUN}/model",
    f"{URL}/{RUN}%00", f"{URL}/../../etc/passwd", f"{URL}/%2e%2e", "/%ff",
])  # fmt: skip
def test_an_address_that_does_not_exist_is_said_to_be_none(shared_client: Client, owner: Headers, path: str) -> None:
    assert_says(shared_client.get(path, headers=owner), 404, "There is nothing at this address.")


def test_a_request_without_an_upgrade_is_told_what_the_socket_needs(shared_client: Client) -> None:
    answer = shared_client.get("/ws/v1/client-stream")
    assert answer.status_code in {400, 404, 426}
    assert answer.json["detail"].endswith(".")


@pytest.mark.parametrize(("path", "content", "words"), [
    ("/claims", {"run_id": RUN, "attempt": 10**30, "claim": RUN}, ["attempt"]),
    ("/claims", {"run_id": RUN, "attempt": 0, "claim": RUN}, ["attempt"]),
    ("/claims", {"run_id": RUN, "attempt": 1}, ["claim: Field required."]),
    ("/claims", {"run_id": "x", "attempt": 1, "claim": RUN}, ["run_id"]),
    (f"/attempts/{RUN}/1/uploads", {"name": "../model"}, ["name", "letters, digits"]),
    ("/hello", {"slots": 0}, ["slots"]), ("/hello", {"slots": "2"}, ["slots"]), ("/hello", [], []),
], ids=str)  # fmt: skip
def test_a_node_is_told_what_is_wrong_too(
    shared_client: Client, node: Headers, path: str, content: Any, words: list[str]
) -> None:
    assert_says(shared_client.post(f"/api/v1/node{path}", json=content, headers=node), 422, *words)


@pytest.mark.parametrize("attempt", ["0", "7", "99999999999999999999999999", "9223372036854775808"])
def test_an_attempt_that_does_not_exist_is_nobodys(shared_client: Client, node: Headers, attempt: str) -> None:
    answer = shared_client.post(f"/api/v1/node/attempts/{RUN}/{attempt}/heartbeat", json={}, headers=node)
    assert answer.json == {"answer": "not yours"}
    answer = shared_client.post(
        f"/api/v1/node/attempts/{RUN}/{attempt}/uploads", json={"name": "model.onnx"}, headers=node
    )
    assert_says(answer, 409, f"Attempt {attempt} of run {RUN} is not yours (any more).")
