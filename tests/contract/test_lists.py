"""Lists as clients ask for them: a part at a time, in the order they want, and only what they look for."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from coordinator.accounts import tokens
from coordinator.api import listing
from coordinator.pages import BAD_CURSOR
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from services.stack import Stack
from tests.conftest import config_of, running
from tests.databases import Databases
from tests.integration.database import change, rows
from tests.jobs import URL, Client, bearer, body
from tests.played_node import PlayedNode
from tests.studio import MEMBERS, TEAM, Studio, studio

COPIES = """
INSERT INTO jobs (run_id, owner_id, team_id, job_type, state, agent_config, env_id, agent_id, num_of_areas, behaviour,
                  steps, seed, priority, attempt, first_attempt, last_seq, replay_from, steps_before, steps_trained,
                  created_at)
SELECT gen_random_uuid(), users.id, teams.id, 'CREATE', 'FAILED', '', 'many', '', 1, 'B', 1, 0, 1, 1, 1, 1, 0, 0, 0,
       now() - n / 7 * interval '1 second'
FROM users JOIN teams ON personal_of = users.id, generate_series(1, :count) AS n WHERE users.name = :user
"""
"""Several of them at the same moment."""


@pytest.fixture(scope="module")
def its(stack: Stack, databases: Databases) -> Iterator[Studio]:
    with databases.lent() as name, running(config_of(stack, name)) as app:
        steps.connect(parts(app).storage, parts(app).publisher, parts(app).config)
        yield studio(app)
        reported.disconnect(dispatch_uid="pipeline")


@pytest.fixture(scope="module")
def somebody(its: Studio) -> dict[str, str]:
    """A user with a hundred jobs."""
    with its.app.app_context():
        headers = bearer(tokens.create_for_user("somebody", scope="admin"))
    change(its.app, COPIES, count=100, user="somebody")
    return headers


def pages(client: Client, headers: dict[str, str], path: str) -> list[list[Any]]:
    """Every page from this one on, by the links."""
    found = []
    while path:
        answer = client.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        found.append(answer.json)
        path = next_of(answer)
    return found


def next_of(answer: Any) -> str:
    link = answer.headers.get("Link", "")
    return link.removeprefix("<").removesuffix('>; rel="next"')


def test_a_list_comes_page_by_page_as_it_comes_at_once(its: Studio, somebody: dict[str, str]) -> None:
    whole = its.client.get(URL, headers=somebody)
    assert (len(whole.json), next_of(whole)) == (100, "")
    parts_ = pages(its.client, somebody, f"{URL}?limit=30")
    assert [len(page) for page in parts_] == [30, 30, 30, 10]
    assert [job for page in parts_ for job in page] == whole.json
    upwards = pages(its.client, somebody, f"{URL}?limit=33&order=created_at")
    assert [job for page in upwards for job in page] == whole.json[::-1]


def test_what_comes_meanwhile_shifts_nothing(its: Studio, somebody: dict[str, str]) -> None:
    first = its.client.get(f"{URL}?limit=40", headers=somebody)
    new = its.client.post(URL, json=body(), headers=somebody).json["run_id"]
    rest = [job["run_id"] for page in pages(its.client, somebody, next_of(first)) for job in page]
    seen = [job["run_id"] for job in first.json] + rest
    assert (len(seen), len({*seen}), new in seen) == (100, 100, False)
    its.client.delete(f"{URL}/{new}", headers=somebody)


def test_where_no_limit_is_said_there_is_a_bound_and_a_link(
    its: Studio, somebody: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing.asked, "__defaults__", (99,))
    answer = its.client.get(URL, headers=somebody)
    assert len(answer.json) == 99
    assert len(its.client.get(next_of(answer), headers=somebody).json) == 1


FOUND = {
    "state=SUCCEEDED": {"trained"}, "state=SUBMITTED,SUCCEEDED": {"trained", "waiting", "other"},
    "job_status=FAILED": {"cancelled"}, "state=CANCELLED&job_status=SUCCEEDED": set(), "state=FAILED": set(),
    "env_id=reach1d": {"trained", "waiting", "cancelled"}, "env_id=reach1d@1": set(), "env_id=reach%25": set(),
    "env_id=maze": {"other"}, "env_id=maze@2": {"other"}, "behavior_name=Walk": {"other"},
    "created_by=maker%20admin": {"trained", "waiting", "cancelled", "other"}, "created_by=nobody": set(),
    "created_by=00000000-0000-4000-8000-000000000000": set(),
    "since=2000-01-01": {"trained", "waiting", "cancelled", "other"},
    "until=2000-01-01T00:00:00Z": set(), "since=2100-01-01T00:00:00%2B02:00": set(),
    "since=2000-01-01T00:00:00+02:00": {"trained", "waiting", "cancelled", "other"},
}  # fmt: skip


@pytest.fixture(scope="module")
def named(its: Studio) -> dict[str, str]:
    """What each of the studio's runs is called here, by its run_id."""
    change(
        its.app,
        "DELETE FROM jobs WHERE env_id <> 'many' AND run_id NOT IN (:trained, :claimed)",
        trained=its.trained,
        claimed=its.claimed,
    )
    other = its.run_id()
    change(its.app, "UPDATE jobs SET env_id = 'maze@2', behaviour = 'Walk' WHERE run_id = :run_id", run_id=other)
    waiting = its.run_id()
    its.client.post(f"{URL}/{its.claimed}/cancel", headers=its.people.headers("maker"))
    node = PlayedNode(its.app, its.people.headers("node"))
    node.hand_in(its.claimed, status="stopped")
    node.finish(its.claimed)
    return {its.trained: "trained", its.claimed: "cancelled", waiting: "waiting", other: "other"}


@pytest.mark.parametrize("query", FOUND)
def test_a_list_has_only_what_is_asked_for(its: Studio, named: dict[str, str], query: str) -> None:
    for path in (f"{URL}?{query}", f"{URL}?{query}&team={TEAM}"):
        found = its.client.get(path, headers=its.people.headers("maker")).json
        assert {named[job["run_id"]] for job in found} == FOUND[query]


LISTS = {
    f"{URL}?team={TEAM}": ("created_at",), "/api/v1/environments": ("env_id",), "/api/v1/node": ("name",),
    "/api/v1/tokens": ("created_at", "name"), "/api/v1/teams": ("name",),
    "/api/v1/users": ("name", "created_at"),
    MEMBERS.replace("<team>", TEAM): ("user",), "/api/v1/audit": ("at",),
    f"{URL}/<run>/metrics": ("trained",), f"{URL}/<run>/files": ("created_at", "name"),
    f"{URL}/<run>/models": ("version",), f"{URL}/<run>/episodes": ("recorded",),
}  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_every_list_has_pages_and_orders(its: Studio, path: str) -> None:
    _fill(its)
    address = path.replace("<run>", its.trained)
    mark, caller = "&" if "?" in address else "?", _reader(its, path)
    for order in (None, *LISTS[path]):
        asked = f"{address}{mark}order={order}&" if order else f"{address}{mark}"
        whole = its.client.get(asked, headers=caller).json
        assert len(whole) > 1 or "models" in path or "episodes" in path or "teams?" in asked
        assert [it for page in pages(its.client, caller, f"{asked}limit=1") for it in page] == whole
        if order:
            assert its.client.get(asked.replace("order=", "order=-"), headers=caller).json == whole[::-1]


def _reader(its: Studio, path: str) -> dict[str, str]:
    return its.people.headers("operator" if path == "/api/v1/users" else "owner")


def _fill(its: Studio) -> None:
    """A second environment, and a second token of the owner's."""
    owner = its.people.headers("owner")
    for name in ("one", "another"):
        its.client.post("/api/v1/tokens", json={"name": name}, headers=owner)


BAD = {
    "limit=0": "limit: It must be 1 to 1000, not 0.", "limit=1001": "limit: It must be 1 to 1000, not 1001.",
    "limit=x": "limit: It must be a whole number, not 'x'.",
    "order=name": "order: It must be one of created_at, -created_at, not 'name'.",
    "order=--created_at": "order: It must be one of created_at, -created_at, not '--created_at'.",
    "cursor=x": BAD_CURSOR, "cursor=eyJwbGFjZSI6W119": BAD_CURSOR, "cursor=%F0%9F%98%80": BAD_CURSOR,
    "state=LOST": "state: It must be one or several of SUBMITTED, RETRIEVED, STARTING, RUNNING, SUCCEEDED, FAILED, "
                  "CANCELLED, not 'LOST'.",
    "since=yesterday": "since: It must be a moment such as 2030-01-31T12:00:00Z, not 'yesterday'.",
    "until=0001-01-01T00:00:00%2B14:00": "until: It must be a moment such as 2030-01-31T12:00:00Z, not "
                                         "'0001-01-01T00:00:00+14:00'.",
    "env_id=": "env_id: It must be 1 to 200 characters, without control characters.",
    "created_by=a%0Ab": "created_by: It must be 1 to 200 characters, without control characters.",
}  # fmt: skip


@pytest.mark.parametrize("query", BAD)
def test_what_cannot_be_understood_is_refused_in_a_sentence(its: Studio, query: str) -> None:
    answer = its.client.get(f"{URL}?{query}", headers=its.people.headers("maker"))
    assert (answer.status_code, answer.json) == (422, {"detail": BAD[query], "code": "bad_request"})


NOBODY = str(UUID(int=0))
FORGED = ([], ["created_at"], ["-created_at", 1, 2], ["-created_at", "2030-01-01", "x"], ["-created_at", None, None],
          ["-created_at", "2030-01-01T00:00:00Z"], ["-created_at", {}, []], ["-created_at", "\0", "\0"],
          ["-created_at", "2030-01-01T00:00:00Z", 10**30],
          ["-created_at", "9999-12-31T23:59:59-23:59", NOBODY], ["-created_at", "0001-01-01T00:00:00+23:59", NOBODY],
          ["-at", "2030-01-01T00:00:00Z", True], ["nothing", 1], [1, 2], {"a": 1}, "x", 1)  # fmt: skip


@pytest.mark.parametrize("place", FORGED, ids=repr)
def test_a_cursor_that_somebody_has_made_up_is_refused(its: Studio, place: Any) -> None:
    for path in (URL, "/api/v1/audit", "/api/v1/node", f"{URL}/{its.trained}/metrics"):
        answer = its.client.get(f"{path}?cursor={forged(place)}", headers=its.people.headers("maker"))
        assert (answer.status_code, answer.json["code"]) == (422, "bad_request")


def forged(place: Any) -> str:
    raw = json.dumps({"place": place}).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_a_cursor_is_good_for_its_own_order_only(its: Studio, somebody: dict[str, str]) -> None:
    link = next_of(its.client.get(f"{URL}?limit=1", headers=somebody))
    assert its.client.get(f"{link}&order=-created_at", headers=somebody).status_code == 200
    assert its.client.get(f"{link}&order=created_at", headers=somebody).json["detail"] == BAD_CURSOR


def test_a_job_that_is_asked_for_again_and_again_is_sent_once(its: Studio) -> None:
    maker, address = its.people.headers("maker"), f"{URL}/{its.trained}"
    first = its.client.get(address, headers=maker)
    again = its.client.get(address, headers=maker | {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    change(its.app, "UPDATE jobs SET waiting_for = 'Nothing.' WHERE run_id = :run_id", run_id=its.trained)
    changed = its.client.get(address, headers=maker | {"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json["waiting_for"]) == (200, "Nothing.")


@pytest.mark.parametrize("what", ["nn-model", "files/model.onnx"])
def test_a_file_that_the_client_has_is_not_read_from_storage(its: Studio, what: str) -> None:
    maker, address = its.people.headers("maker"), f"{URL}/{its.trained}/{what}"
    (sha256,) = rows(
        its.app, "SELECT sha256 FROM artifacts WHERE run_id = :run_id AND kind = 'model'", run_id=its.trained
    )
    assert its.client.get(address, headers=maker).headers["ETag"] == f'"{sha256}"'
    change(its.app, "UPDATE artifacts SET key = key || 'x' WHERE run_id = :run_id", run_id=its.trained)
    try:
        known = its.client.get(address, headers=maker | {"If-None-Match": f'"{sha256}"'})
        assert (known.status_code, known.data) == (304, b"")
        assert its.client.get(address, headers=maker | {"If-None-Match": '"another"'}).status_code == 410
    finally:
        change(its.app, "UPDATE artifacts SET key = left(key, -1) WHERE run_id = :run_id", run_id=its.trained)


@pytest.mark.parametrize("what", ["", "/nn-model", "/files/metrics_data.json", "/models"])
def test_who_wants_only_what_he_knows_is_told_where_it_is_another(its: Studio, what: str) -> None:
    maker, address = its.people.headers("maker"), f"{URL}/{its.trained}{what}"
    tag = its.client.get(address, headers=maker).headers["ETag"]
    assert its.client.get(address, headers=maker | {"If-Match": tag}).status_code == 200
    for method in ("GET", "HEAD"):
        refused = its.client.open(address, method=method, headers=maker | {"If-Match": '"another"'})
        assert (refused.status_code, refused.headers["Cache-Control"], "ETag" in refused.headers) == (
            412, "no-store", False)  # fmt: skip
        said = {"code": "precondition_failed", "detail": "It is not (any more) what If-Match names."}
        assert refused.data == b"" if method == "HEAD" else refused.json == said


@pytest.mark.parametrize("path", [*LISTS, f"{URL}/<run>", f"{URL}/<run>/nn-model", "/api/v1/me"])
def test_a_head_says_what_a_get_would(its: Studio, path: str) -> None:
    address, caller = path.replace("<run>", its.trained), _reader(its, path)
    get, head = its.client.get(address, headers=caller), its.client.head(address, headers=caller)
    assert (head.status_code, head.data) == (200, b"")
    told = ("Content-Type", "Content-Length", "ETag", "Link")
    assert [head.headers.get(it) for it in told] == [get.headers.get(it) for it in told]
