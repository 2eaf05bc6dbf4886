"""A broker with little patience: it closes every channel on which a message waits a minute for its acknowledgement."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.integration.live import watch
from tests.jobs import URL, bearer, metric, phase
from tests.stub_node import MODEL, StubNode
from tests.stub_trainings import stub_body, stub_environments, stub_settings

pytestmark = pytest.mark.own_broker

SETTINGS = "consumer_timeout = 60000\nmax_message_size = 4000000\n"
FIVE_MINUTES, LITTLE = 600_000, 200  # steps
PATIENCE_IS_OVER = "Timeout value used: 60000 ms"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("services"), environ={})
    assert running.rabbitmq
    running.rabbitmq.configure()
    (running.rabbitmq.folder / "conf.d" / "impatient.conf").write_text(SETTINGS)
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Its node has one slot, and trains with the stub trainer."""
    settings = stub_settings(stub_environments(tmp_path_factory.mktemp("environments")))
    with Platform(stack, tmp_path_factory.mktemp("platform"), settings | {"NODE_SLOTS": "1"}) as running:
        running.start("web", "results", "recorder", "node")
        yield running


def submit(platform: Platform, steps: int) -> str:
    answer = requests.post(platform.url + URL, json=stub_body(steps), headers=bearer(platform.token), timeout=30)
    return str(answer.json()["run_id"])


def job(platform: Platform, run_id: str) -> Any:
    return requests.get(f"{platform.url}{URL}/{run_id}", headers=bearer(platform.token), timeout=30).json()


def test_a_training_and_the_job_behind_it_outlast_the_brokers_patience_and_run_once(platform: Platform) -> None:
    node = platform.process("node").pid
    jobs = [submit(platform, FIVE_MINUTES), submit(platform, LITTLE)]
    wait_until(lambda: job(platform, jobs[1])["state"] == "SUCCEEDED", 420, "the job behind the long training")
    for run_id in jobs:
        its = job(platform, run_id)
        assert (its["state"], len(its["attempts"])) == ("SUCCEEDED", 1)
    log = platform.log("node")
    assert platform.process("node").pid == node
    assert not re.search("PRECONDITION|Unrecoverable|Traceback", log), log[-3000:]
    assert log.count("'status': 'succeeded'") == len(jobs)  # whatever was sent twice was trained once


def test_the_recorder_names_what_the_broker_will_break(platform: Platform) -> None:
    log = platform.process("recorder").log
    wait_until(lambda: "consumer_timeout:" in log.read_text(), 200, "the recorder to notice the broker's patience")
    assert "It is 60 s. Set consumer_timeout = 864000000" in log.read_text()
    assert "RabbitMQ refuses messages of 8388608 bytes" in log.read_text()


def test_what_waits_for_the_database_longer_than_the_broker_waits_is_recorded_once(
    platform: Platform, stack: Stack, tmp_path: Path
) -> None:
    assert stack.postgres
    assert stack.rabbitmq
    platform.process("node").kill()  # its part is played; one that was told to end would get no work
    closed, programs = stack.rabbitmq.process.log, ("results", "recorder")
    pids, before = [platform.process(name).pid for name in programs], closed.read_text().count(PATIENCE_IS_OVER)
    run_id, node = submit(platform, LITTLE), StubNode(platform, tmp_path)
    node.claim(run_id)
    node.say(run_id, phase("RUNNING"), *(metric(n) for n in range(1, 6)))
    model = node.upload(run_id, "model", MODEL)
    wait_until(lambda: job(platform, run_id)["state"] == "RUNNING", 30, "the facts before")
    stack.postgres.stop()
    node.say(run_id, *(metric(n) for n in range(6, 11)))
    node.hand_in(run_id, model)
    wait_until(lambda: closed.read_text().count(PATIENCE_IS_OVER) >= before + 2, 200, "the broker's patience to end")
    stack.postgres.start()
    wait_until(lambda: job(platform, run_id)["state"] == "SUCCEEDED", 120, "the job's end")
    viewer = watch(platform, run_id).finish()
    assert [one["step"] for one in viewer.metrics] == list(range(1, 11))
    assert viewer.seqs == list(range(1, len(viewer.seqs) + 1))
    assert viewer.binaries == [MODEL]
    assert [platform.process(name).pid for name in programs] == pids
    assert all(platform.process(name).running for name in programs)
