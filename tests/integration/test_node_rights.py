"""What a node can do at RabbitMQ with its own login, and what becomes of what it says of another node's attempt."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import amqp
import psycopg2
import pytest
import requests
from amqp.exceptions import AccessRefused, PreconditionFailed
from kombu import Connection

from coordinator.outcome_consumer import LATER
from services.platform import ROOT, Platform, wait_until
from tests.integration.live import new_run, watch
from tests.jobs import metric, phase
from tests.stub_node import MODEL, StubNode
from wire import names
from wire.codec import encode
from wire.facts import Artifact, Outcome, facts_to_wire
from wire.uploads import Upload

PERSISTENT, FOREIGN = 2, "train_jobs"


@pytest.fixture(scope="module")
def attacker(platform: Platform) -> Iterator[amqp.Connection]:
    """The plain AMQP connection of a node that holds nothing."""
    its = Connection(platform.enroll("attacker")["BROKER_URL"])
    with amqp.Connection(its.host, its.userid, its.password, virtual_host=its.virtual_host) as connection:
        yield connection


@pytest.fixture
def held(platform: Platform, stub_node: StubNode) -> str:
    """A run that the other node trains."""
    run_id = new_run(platform)
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("STARTING"))
    return run_id


def user_of(platform: Platform, name: str) -> str:
    return str(Connection(platform.enroll(name)["BROKER_URL"]).userid)


def rejected(platform: Platform) -> list[str]:
    """Why messages were set aside, newest first."""
    with psycopg2.connect(platform.env["DATABASE_URL"].replace("+psycopg2", "")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT reason FROM rejected_messages ORDER BY id DESC LIMIT 20")
        return [reason for (reason,) in cursor.fetchall()]


def task(name: str, *args: Any) -> tuple[str, str, bytes, dict[str, Any]]:
    headers = {"task": name, "id": str(uuid4()), "lang": "py", "argsrepr": "", "kwargsrepr": ""}
    return (names.OUTCOME_EXCHANGE, names.OUTCOME_QUEUE, json.dumps([args, {}, {}]).encode(),
            {"application_headers": headers})  # fmt: skip


def fact(run_id: str) -> tuple[str, str, bytes, dict[str, Any]]:
    body = {"type": names.EVENT_TYPE} | facts_to_wire(run_id, 1, [(2, metric(99_999, 1.0))])
    return names.EVENT_EXCHANGE, names.EVENT_ROUTING_KEY, encode(body).encode(), {}


LIES: dict[str, Callable[[str], tuple[str, str, bytes, dict[str, Any]]]] = {
    "facts": fact,
    "an outcome": lambda run: task(names.TASK_OUTCOME, Outcome(UUID(run), 1, "failed", 0, "A lie.").to_wire()),
    "an upload": lambda run: task(
        names.TASK_UPLOADED, Upload(UUID(run), 1, Artifact("checkpoint", "0" * 64, 1, {}, "c.pt", 1)).to_wire()),
    "a loss": lambda run: task(names.TASK_LOST, names.task_id(run, 1), run, 1),
    "an ending": lambda run: task(names.TASK_FINISH, run, 1),
    "an answer to the coordinator": lambda run: task(names.TASK_PROBE),
}  # fmt: skip


def publish(connection: amqp.Connection, lie: tuple[str, str, bytes, dict[str, Any]], **properties: Any) -> None:
    """And waits for the confirm."""
    exchange, key, body, its = lie
    message = amqp.Message(body, content_type="application/json", content_encoding="utf-8", delivery_mode=PERSISTENT,
                           **its, **properties)  # fmt: skip
    channel = connection.channel()
    channel.confirm_select()
    channel.basic_publish_confirm(message, exchange=exchange, routing_key=key)
    channel.close()


@pytest.mark.parametrize("what", LIES)
@pytest.mark.parametrize("says_who", [True, False], ids=["as itself", "as nobody"])
def test_what_another_node_says_of_an_attempt_is_set_aside_and_the_job_goes_on(
    platform: Platform, stub_node: StubNode, attacker: amqp.Connection, held: str, what: str, says_who: bool
) -> None:
    me = user_of(platform, "attacker")
    viewer = watch(platform, held)
    publish(attacker, LIES[what](held), **({"user_id": me} if says_who else {}))
    sender = repr(me) if says_who else "nobody that RabbitMQ vouches for"
    wait_until(lambda: [why for why in rejected(platform)[:1] if sender in why], 20, "the lie to be set aside")
    stub_node.say(held, metric(1_000, 0.5))
    stub_node.succeed(held)
    viewer.finish()
    assert [told["step"] for told in viewer.metrics] == [1_000]
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)


def test_what_another_node_wants_to_be_done_later_is_held_in_nobodys_memory(
    platform: Platform, attacker: amqp.Connection
) -> None:
    exchange, key, body, its = task(names.TASK_OUTCOME, {})
    its["application_headers"]["eta"] = "2099-01-01T00:00:00+00:00"
    for _ in range(100):
        publish(attacker, (exchange, key, body, its), user_id=user_of(platform, "attacker"))
    wait_until(lambda: rejected(platform) == [LATER] * 20, 30, "all of them to be set aside")


@pytest.mark.parametrize("of", ["node", FOREIGN], ids=["another node", "the coordinator"])
def test_rabbitmq_refuses_a_message_in_another_users_name(
    platform: Platform, attacker: amqp.Connection, of: str
) -> None:
    user = of if of == FOREIGN else user_of(platform, of)
    with pytest.raises(PreconditionFailed, match="user_id"):
        publish(attacker, fact(str(uuid4())), user_id=user)


def test_what_another_nodes_bridge_shows_of_a_run_reaches_nobody(
    platform: Platform, stub_node: StubNode, attacker: amqp.Connection, held: str
) -> None:
    viewer = watch(platform, held)
    me = user_of(platform, "attacker")

    def show(number: int, attempt: int) -> None:
        headers = {"run_id": held, "attempt": attempt, "instance": 0}
        body = encode({"msg_id": 1, "lie": number}).encode()
        publish(attacker, (names.STATE_EXCHANGE, held, body, {"application_headers": headers}), user_id=me)

    for number, attempt in ((1, 1), (2, 2), (3, 10**12)):
        show(number, attempt)
    stub_node.say(held, metric(1_000, 0.5))
    wait_until(lambda: viewer.metrics, 20, "the metrics")
    stub_node.succeed(held)
    viewer.finish()
    assert [message for message in viewer.messages if message["msg_id"] == 1] == []
    assert (viewer.binaries, viewer.close_code) == ([MODEL], 1000)


Step = Callable[[amqp.Channel], object]
FORBIDDEN: dict[str, Step] = {
    "declare a queue": lambda it: it.queue_declare("mine", auto_delete=True),
    "declare a queue of the broker's naming": lambda it: it.queue_declare("", exclusive=True),
    "declare an exchange": lambda it: it.exchange_declare("mine", "topic"),
    "delete the queue of trainings": lambda it: it.queue_delete(names.TRAIN_QUEUE),
    "delete the exchange of events": lambda it: it.exchange_delete(names.EVENT_EXCHANGE),
    "unbind the queue of outcomes": lambda it: it.queue_unbind(
        names.OUTCOME_QUEUE, names.OUTCOME_EXCHANGE, names.OUTCOME_QUEUE),
    "read outcomes": lambda it: it.basic_get(names.OUTCOME_QUEUE),
    "read facts": lambda it: it.basic_consume(names.EVENT_QUEUE),
    "empty the queue of facts": lambda it: it.queue_purge(names.EVENT_QUEUE),
    "empty the queue of outcomes": lambda it: it.queue_purge(names.OUTCOME_QUEUE),
    "listen to all events": lambda it: it.queue_bind(names.TRAIN_QUEUE, names.EVENT_EXCHANGE, "#"),
    "listen to what games are told": lambda it: it.queue_bind(names.TRAIN_QUEUE, names.FANOUT_EXCHANGE, ""),
    "write trainings": lambda it: _write(it, names.TRAIN_EXCHANGE, names.TRAIN_QUEUE),
    "write to any queue": lambda it: _write(it, "", names.OUTCOME_QUEUE),
    "write to games": lambda it: _write(it, names.FANOUT_EXCHANGE, ""),
    "write events of another kind": lambda it: _write(it, names.EVENT_EXCHANGE, "coordinator.says"),
    "write to a queue of its own choice": lambda it: _write(it, names.OUTCOME_EXCHANGE, "training.facts"),
    "tell all workers to end": lambda it: _write(it, "celery.pidbox", ""),
}  # fmt: skip


def _write(channel: amqp.Channel, exchange: str, key: str) -> None:
    channel.confirm_select()
    channel.basic_publish_confirm(amqp.Message(b"{}"), exchange=exchange, routing_key=key)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_node_may_not(attacker: amqp.Connection, what: str) -> None:
    with pytest.raises(AccessRefused):
        FORBIDDEN[what](attacker.channel())


def test_a_node_may_not_see_the_management_pages(platform: Platform) -> None:
    its = Connection(platform.enroll("attacker")["BROKER_URL"])
    api = platform.env["BROKER_API"].rpartition("@")[2]
    answer = requests.get(f"http://{api}overview", auth=(its.userid, its.password), timeout=10)
    assert answer.status_code == 401


def test_the_check_of_an_enrolled_node_finds_all_that_it_needs(platform: Platform, tmp_path: Path) -> None:
    code = platform.run("flask --app wsgi nodes enroll 'a.b+c(d)'").split()[-1]
    file = tmp_path / "its" / "node.env"
    done = subprocess.run([sys.executable, "-m", "node", "enroll", code, "--to", str(file)], cwd=ROOT,
                          env=platform.environment("node"), capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "✗" not in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
