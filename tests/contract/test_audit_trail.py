"""The audit as those read it whom it concerns: who, when, from where, why; of a run, a team, everything, as a file."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator import audit_trail
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from coordinator.sweeper import Sweeper
from services.stack import Stack
from tests.conftest import config_of, running
from tests.databases import Databases
from tests.integration.database import change, rows
from tests.jobs import URL, body, phase
from tests.played_node import PlayedNode
from tests.studio import TEAM, Studio, studio

AUDIT = "/api/v1/audit"
FROM = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}


@pytest.fixture(scope="module")
def its(stack: Stack, databases: Databases) -> Iterator[Studio]:
    with databases.lent() as name, running(config_of(stack, name)) as app:
        steps.connect(parts(app).storage, parts(app).publisher, parts(app).config)
        yield studio(app)
        reported.disconnect(dispatch_uid="pipeline")


@pytest.fixture(scope="module")
def deleted(its: Studio) -> str:
    """A run of the maker's that trained, was cancelled by the team's owner, and is gone."""
    maker, owner = its.people.headers("maker"), its.people.headers("owner")
    run_id = str(its.client.post(URL, json=body(), headers=maker, **FROM).json["run_id"])
    node = PlayedNode(its.app, its.people.headers("node"))
    node.claim(run_id)
    node.say(run_id, phase("STARTING"), phase("RUNNING"))
    for _ in range(2):  # the second one changes nothing
        its.client.post(f"{URL}/{run_id}/cancel", headers=owner)
    node.hand_in(run_id, status="stopped", facts_sent=2)
    node.finish(run_id)
    its.client.delete(f"{URL}/{run_id}", headers=maker)
    sweeper = Sweeper(its.app, None, parts(its.app).storage, 25, 1)  # type: ignore[arg-type]
    sweeper._sweep(sweeper.purge_deleted)
    return run_id


def read(its: Studio, caller: str, query: str) -> Any:
    return its.client.get(f"{AUDIT}?{query}", headers=its.people.headers(caller)).json


LIFE = [
    ("job.submitted", "user", "maker admin", "192.0.2.7", None),
    ("job.claimed", "node", "node", "node node", None),
    ("job.started", "node", "node", "node node", None),
    ("job.connected", "node", "node", "node node", None),
    ("job.cancel_requested", "user", "owner admin", "127.0.0.1", None),
    ("attempt.ended", "node", "node", "node node", "It was cancelled."),
    ("job.cancelled", "coordinator", "web", "web", "It was cancelled."),
    ("job.deleted", "user", "maker admin", "127.0.0.1", None),
    ("job.purged", "coordinator", "sweeper", "sweeper", "It was deleted, and has ended."),
]
"""Action, type and name of the actor, origin, reason."""


@pytest.mark.parametrize("caller", ["viewer", "maker", "owner"])
def test_the_life_of_a_run_is_read_by_its_team_also_when_it_is_gone(its: Studio, deleted: str, caller: str) -> None:
    found = read(its, caller, f"run_id={deleted}&order=at")
    assert [
        (it["action"], it["actor"]["type"], it["actor"]["name"], it["origin"], it["reason"]) for it in found
    ] == LIFE
    assert {it["team"] for it in found} == {TEAM}
    assert [it["at"] for it in found] == sorted(it["at"] for it in found)
    assert found[0]["actor"]["token_id"]
    assert {name: found[4]["details"][name] for name in ("attempt",)} == {"attempt": 1}
    assert (found[6]["details"]["from"], found[6]["details"]["to"]) == ("RUNNING", "CANCELLED")


def test_nobody_else_reads_it(its: Studio, deleted: str) -> None:
    assert read(its, "stranger", f"run_id={deleted}") == []
    assert {it["team"] for it in read(its, "stranger", "limit=1000")} == {"rivals admin"}


def test_operators_read_everything_and_where_a_node_is(its: Studio, deleted: str) -> None:
    found = read(its, "operator", f"everywhere=1&run_id={deleted}&action=job.claimed")
    assert [it["origin"] for it in found] == ["127.0.0.1"]
    nodes = read(its, "operator", "everywhere=1&action=node&limit=1000")
    assert {(it["action"], it["team"]) for it in nodes} == {("node.enrolled", None)}
    assert read(its, "operator", "limit=1000") == read(its, "operator", "team=operator%20admin&limit=1000")


FOUND = {
    "action=job.cancelled,job.deleted": {"job.cancelled", "job.deleted"}, "action=attempt": {"attempt.ended"},
    "actor=owner%20admin": {"job.cancel_requested"}, "since=2100-01-01": set(), "until=2000-01-01": set(),
    "action=attempt&actor=node": {"attempt.ended"},
}  # fmt: skip


@pytest.mark.parametrize("query", FOUND)
def test_it_is_searched(its: Studio, deleted: str, query: str) -> None:
    assert {it["action"] for it in read(its, "maker", f"object={deleted}&{query}")} == FOUND[query]


@pytest.mark.parametrize(("query", "sentence"), [
    ("action=job.exploded", "action: It must be one or several of "),
    ("format=xml", "format: It must be one of json, ndjson, csv, not 'xml'."),
    ("run_id=x", "run_id: It must be a UUID, not 'x'."),
    ("everywhere=yes", "everywhere: It must be 1 or 0, not 'yes'."),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused(its: Studio, query: str, sentence: str) -> None:
    answer = its.client.get(f"{AUDIT}?{query}", headers=its.people.headers("operator"))
    assert (answer.status_code, answer.json["code"]) == (422, "bad_request")
    assert answer.json["detail"].startswith(sentence)


def test_an_export_has_everything_however_much_it_is(its: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "AT_ONCE", 7)
    headers = its.people.headers("operator")
    asked = its.client.get(f"{AUDIT}?everywhere=1&format=ndjson&order=at", headers=headers)
    (count,) = rows(its.app, "SELECT count(*) FROM audit")
    lines = [json.loads(line) for line in asked.text.splitlines()]
    assert (asked.mimetype, len(lines)) == ("application/x-ndjson", count)
    assert count > 40
    printed = its.app.test_cli_runner().invoke(args=["audit", "export"]).output
    assert [json.loads(line) for line in printed.splitlines()] == lines
    table = [
        *csv.reader(io.StringIO(its.client.get(f"{AUDIT}?everywhere=1&format=csv&order=at", headers=headers).text))
    ]
    assert [row[0] for row in table] == ["id", *[str(line["id"]) for line in lines]]
    assert its.app.test_cli_runner().invoke(args=["audit", "export", "--format", "csv"]).output.count("\n") == count + 1


def test_a_name_that_a_spreadsheet_would_compute_is_no_formula_in_it(its: Studio) -> None:
    change(
        its.app,
        "INSERT INTO audit (action, object, actor_type, actor, origin) VALUES ('user.made', '=1+1', '', '', '')",
    )
    text = its.client.get(f"{AUDIT}?everywhere=1&format=csv", headers=its.people.headers("operator")).text
    assert ",'=1+1," in text
    assert ",=1+1" not in text


def test_no_secret_is_in_it(its: Studio) -> None:
    headers = its.people.headers("owner")
    made = its.client.post("/api/v1/tokens", json={"name": "ci", "team": TEAM}, headers=headers).json
    everything = its.client.get(f"{AUDIT}?everywhere=1&format=ndjson", headers=its.people.headers("operator")).text
    assert made["id"] in everything
    secrets = [made["token"], *[token for token in its.people.tokens.values() if token]]
    assert [secret for secret in secrets if secret in everything or secret.removeprefix("tj_") in everything] == []


def test_what_was_refused_leaves_no_entry(its: Studio) -> None:
    owner, member = its.people.headers("owner"), f"/api/v1/teams/{TEAM}/members/owner admin"
    before = rows(its.app, "SELECT count(*) FROM audit")
    assert its.client.put(member, json={"role": "viewer"}, headers=owner).status_code == 409
    assert its.client.delete(member, headers=owner).status_code == 409
    assert its.client.delete(f"{URL}/{its.trained}", headers=its.people.headers("mate")).status_code == 403
    assert rows(its.app, "SELECT count(*) FROM audit") == before
