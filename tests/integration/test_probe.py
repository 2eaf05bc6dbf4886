"""Our own programs say that they are there; an outcome that waits for a `results` that is away is not lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import requests
from flask import Flask

from coordinator import broker, probe
from coordinator.parts import parts
from coordinator.sweeper import Sweeper
from services.platform import Platform, wait_until
from services.stack import Stack
from tests.conftest import config_of, running
from tests.integration.database import change, rows
from tests.jobs import URL, bearer, body, phase
from tests.stub_node import StubNode


@pytest.fixture
def app(stack: Stack, platform: Platform) -> Iterator[Flask]:
    """Over the platform's own database."""
    with running(config_of(stack, stack.env["DATABASE_URL"].rpartition("/")[2])) as made:
        yield made


@pytest.fixture
def ask(app: Flask, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[probe.Probe]:
    monkeypatch.setattr("coordinator.probe.PATIENCE_SECONDS", 1.0)
    celery = broker.make_celery(platform.env["BROKER_URL"], "test")
    yield probe.Probe(celery)
    celery.close()


@contextmanager
def paused(platform: Platform, name: str) -> Iterator[None]:
    """The program stands still meanwhile."""
    pid = platform.process(name).pid
    assert pid
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_web_that_answers_says_so_all_the_time(app: Flask, platform: Platform) -> None:
    (since,) = rows(app, "SELECT now()")
    seen = "SELECT last_seen_at > :since + interval '2 seconds' FROM pulses WHERE service = 'web'"
    wait_until(lambda: rows(app, seen, since=since) == [True], 30, "more beats of the web")


def test_who_takes_outcomes_says_so(app: Flask, platform: Platform, ask: probe.Probe) -> None:
    with app.app_context():
        wait_until(ask, 30, "an answer of `results`")
        with paused(platform, "results"):
            assert not ask()
        wait_until(ask, 30, "an answer of `results`")


def test_a_training_that_has_ended_is_not_lost_while_its_outcome_waits(
    app: Flask, platform: Platform, ask: probe.Probe, stub_node: StubNode
) -> None:
    mine = bearer(platform.token)
    run_id = requests.post(platform.url + URL, json=body(), headers=mine, timeout=30).json()["run_id"]
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("STARTING"), phase("RUNNING"))
    with paused(platform, "results"), app.app_context():
        stub_node.succeed(run_id)
        change(
            app, "UPDATE attempts SET lease_until = now() - interval '1 minute' WHERE run_id = :run_id", run_id=run_id
        )
        change(app, "UPDATE pulses SET alive_since = now() - interval '1 hour' WHERE service = 'web'")
        sweeper = Sweeper(app, None, parts(app).storage, 20, 1, ask)  # type: ignore[arg-type]
        assert (run_id,) in [(str(it[0]),) for it in sweeper._silent_attempts()]
        sweeper.end_silent_attempts()
    state = "SELECT state, attempt FROM jobs WHERE run_id = :run_id"
    wait_until(lambda: rows(app, state, run_id=run_id) == [("SUCCEEDED", 1)], 30, "the job to succeed at once")
