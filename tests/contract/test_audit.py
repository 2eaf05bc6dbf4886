"""Every change of state, permission and object leaves an entry: all routes, commands and transitions are walked, and
the database itself looks whether something was changed of which the audit says nothing."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import click
import pytest
from flask import Flask
from sqlalchemy.exc import DBAPIError

from coordinator import ledger
from coordinator.audit import Audited
from coordinator.extensions import db
from coordinator.lifecycle import TRANSITIONS
from coordinator.parts import parts
from coordinator.pipeline import steps
from coordinator.pipeline.receiver import reported
from coordinator.sweeper import Sweeper
from services.stack import Stack
from tests import builds
from tests.conftest import config_of, running
from tests.contract.test_permissions import EXPECTED
from tests.databases import Databases
from tests.integration.database import change, rows
from tests.jobs import URL, body
from tests.played_node import MODEL, PlayedNode
from tests.studio import TEAM, Studio, asked, studio
from tests.unaudited import unaudited, watch

CALLERS = ("maker", "owner", "operator", "node")
"""Between them they may do everything."""
COMMANDS: dict[str, list[str]] = {
    "users create": ["ann {new}", "--operator"], "users disable": ["stranger"], "users enable": ["stranger"],
    "teams create": ["lab {new}", "stranger"], "teams add": [TEAM, "stranger"],
    "teams remove": [TEAM, "stranger"], "tokens create": ["stranger"], "tokens revoke": ["{token}"],
    "nodes enroll": ["third-{new}"], "nodes drain": ["other-node"], "nodes release": ["node"],
    "nodes revoke": ["{node}"],
    "limits set": ["--user", "stranger", "sockets", "5"], "limits reset": ["--user", "stranger", "sockets"],
}  # fmt: skip
READ_ONLY = {
    "users list",
    "teams list",
    "tokens list",
    "limits list",
    "audit export",
    "openapi",
    "asyncapi",
    "flower",
    "broker check",
    "rejected",
    "create-bucket",
    "recorder",
}


@pytest.fixture(scope="module")
def its(stack: Stack, databases: Databases) -> Iterator[Studio]:
    with databases.lent() as name, running(config_of(stack, name)) as app:
        steps.connect(parts(app).storage, parts(app).publisher, parts(app).config)
        made = studio(app)
        PlayedNode(app, made.people.headers("other node")).post("/hello", {"slots": 1, "life": str(uuid4())})
        watch(app)
        yield made
        reported.disconnect(dispatch_uid="pipeline")


def entries(app: Flask, of: str | None = None) -> list[Any]:
    """(action, actor_type, actor) of each, oldest first."""
    found = "SELECT action, actor_type, actor FROM audit WHERE :of IS NULL OR object = :of ORDER BY id"
    return rows(app, found, of=of)


ROUTES = [it for it in EXPECTED if it[0] != "GET"]


@pytest.mark.parametrize(("method", "rule"), ROUTES)
def test_no_route_changes_anything_without_an_entry(its: Studio, method: str, rule: str) -> None:
    walk_route(its, method, rule)


def walk_route(its: Studio, method: str, rule: str) -> None:
    for caller in CALLERS:
        path, content = asked(its, method, rule)
        unaudited(its.app)  # what the test itself has put into tables
        its.client.open(path, method=method, json=content, headers=its.people.headers(caller))
        assert unaudited(its.app) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_changes_anything_without_an_entry(its: Studio, command: str) -> None:
    walk_command(its, command)


def walk_command(its: Studio, command: str) -> None:
    arguments = [it.format(token=its.token_id(), node=its.node(), new=uuid4()) for it in COMMANDS[command]]
    before = len(entries(its.app))
    done = its.app.test_cli_runner().invoke(args=[*command.split(), *arguments])
    assert done.exit_code == 0, done.output
    new = entries(its.app)[before:]
    assert new
    assert {actor_type for _, actor_type, _ in new} == {"command line"}
    assert unaudited(its.app) == []


def test_every_command_is_walked(its: Studio) -> None:
    ours = {it for it in _commands(its.app.cli) if not it.startswith("db ")}
    assert ours == COMMANDS.keys() | READ_ONLY


def _commands(group: click.Group, before: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} ")
        else:
            yield before + name


def test_every_transition_of_a_job_leaves_its_entry(its: Studio) -> None:
    for state, what, after in ((state, *it) for state, changes in TRANSITIONS.items() for it in changes.items()):
        run_id = its.run_id()
        change(its.app, "UPDATE jobs SET state = :state WHERE run_id = :run_id", state=state, run_id=run_id)
        unaudited(its.app)
        with its.app.app_context():
            job = ledger.lock(UUID(run_id))
            assert job
            ledger.change(job, what, "Why not.")
            db.session.commit()
        found = "SELECT action, details->>'from', details->>'to', reason FROM audit WHERE object = :of ORDER BY id DESC"
        assert rows(its.app, found, of=run_id)[0] == (f"job.{what}", state, after, "Why not.")
        assert unaudited(its.app) == []


def test_everything_that_can_be_audited_is(its: Studio) -> None:
    """All routes, all commands, and a day of a node's: between them every kind of entry."""
    for method, rule in ROUTES:
        walk_route(its, method, rule)
    for command in COMMANDS:
        walk_command(its, command)
    unaudited(its.app)
    node = PlayedNode(its.app, its.people.headers("node"))
    for part in (a_day_of_jobs, a_day_of_a_node, a_day_of_builds, a_day_of_the_sweeper):
        part(its, node)
        assert unaudited(its.app) == []
    assert {action for action, _, _ in entries(its.app)} == {*Audited}


def a_day_of_jobs(its: Studio, node: PlayedNode) -> None:
    """Lost, cancelled, resumed, failed for want of storage and recovered, with more checkpoints than are kept."""
    maker = its.people.headers("maker")
    run_id = its.run_id()
    node.claim(run_id)
    for step in range(1_000, 8_000, 1_000):
        node.checkpoint(run_id, step)
    node.lose(run_id)
    node.train(run_id, 2)
    its.client.post(URL, json=body(run_id=run_id), headers=maker)
    its.client.post(f"{URL}/{run_id}/cancel", headers=maker)
    files = _failed_for_want_of_storage(its, node)
    run_id = str(files[0])
    node.upload(run_id, "model", MODEL)
    assert node.post(f"/attempts/{run_id}/1/again", {}).status_code == 200
    node.finish(run_id)


def _failed_for_want_of_storage(its: Studio, node: PlayedNode) -> tuple[str, Any]:
    run_id = its.run_id()
    node.claim(run_id)
    model = node.upload(run_id, "model", MODEL)
    node.hand_in(run_id, model, status="failed", cause="storage", achieved="succeeded", steps=50_000, error="Away.",
                 kept=True)  # fmt: skip
    node.finish(run_id)
    return run_id, model


def a_day_of_a_node(its: Studio, node: PlayedNode) -> None:
    """It starts, is told to stop on its own machine, spoils three jobs, and checks itself."""
    life = {"slots": 1, "life": str(uuid4())}
    node.post("/hello", life)
    node.post("/hello", life | {"drain": "finish"})
    node.post("/hello", {"slots": 1, "life": str(uuid4())})
    for _ in range(3):
        run_id = its.run_id()
        assert node.claim(run_id).status_code == 200
        node.hand_in(run_id, status="interrupted", cause="node", error="The disk broke.")
        node.finish(run_id)
    assert node.post("/self-check", {"passed": True}).status_code == 200


def a_day_of_builds(its: Studio, node: PlayedNode) -> None:
    """One that can be used, one that cannot, and one that nobody completes."""
    maker = its.people.headers("maker")
    version = str(uuid4())
    builds.verified(its.app, builds.uploaded(its.client, maker, builds.archive(), version)["id"])
    version = str(uuid4())
    builds.verified(its.app, builds.uploaded(its.client, maker, b"no archive", version)["id"])
    builds.announce(its.client, maker, b"once more", version)
    change(its.app, "UPDATE builds SET created_at = now() - interval '2 days' WHERE state = 'UPLOADING'")
    unaudited(its.app)


def a_day_of_the_sweeper(its: Studio, node: PlayedNode) -> None:
    """A deleted job and an abandoned upload go for good; so do entries that are older than they may be."""
    run_id = its.run_id()
    its.client.delete(f"{URL}/{run_id}", headers=its.people.headers("maker"))
    change(its.app, "INSERT INTO audit (at, action, object, actor_type, actor, origin) "
                    "VALUES (now() - interval '99 days', 'old', 'old', 'old', 'old', 'old')")  # fmt: skip
    with running(replace(parts(its.app).config, audit_days=90)) as app:
        sweeper = Sweeper(app, None, parts(app).storage, 25, 1)  # type: ignore[arg-type]
        for sweep in (sweeper.purge_deleted, sweeper.remove_unfinished_uploads, sweeper.drop_old_audit):
            sweeper._sweep(sweep)
    assert "old" not in {action for action, _, _ in entries(its.app)}
    assert entries(its.app, run_id)[-1] == ("job.purged", "coordinator", "sweeper")


def test_a_change_without_an_entry_is_noticed(its: Studio) -> None:
    change(its.app, "UPDATE members SET role = 'owner' WHERE role = 'viewer'")
    assert {it.partition(":")[0] for it in unaudited(its.app)} == {"UPDATE members"}


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET actor = 'somebody else'", "DELETE FROM audit", "TRUNCATE audit",
])  # fmt: skip
def test_entries_are_only_added(its: Studio, statement: str) -> None:
    its.run_id()
    with pytest.raises(DBAPIError, match="The audit is only added to"):
        change(its.app, statement)
