"""What RabbitMQ lacks is found before it breaks something, and named with what to do."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
import requests
from flask import Flask
from flask.testing import FlaskCliRunner
from kombu import Connection

from coordinator.broker import FANOUT_EXCHANGE, declare_all, make_celery
from coordinator.broker_check import BrokerWatch
from coordinator.live.bus import Listener
from coordinator.live.hub import Hub
from coordinator.parts import parts
from node import check, check_platform
from services.platform import wait_until
from services.stack import Stack
from wire import names

Grant = Callable[[str, str, str], str]


@pytest.fixture
def grant(stack: Stack, vhost: str) -> Iterator[Grant]:
    """Makes a user with these rights (configure, write, read); its address on that virtual host."""
    api, host = stack.env["FLOWER_BROKER_API"], vhost.rpartition("@")[2]
    where = host.rpartition("/")[2]

    def make(configure: str, write: str, read: str) -> str:
        its = {"configure": configure, "write": write, "read": read}
        requests.put(f"{api}users/poor", json={"password": "poor", "tags": ""}, timeout=10).raise_for_status()
        requests.put(f"{api}permissions/{where}/poor", json=its, timeout=10).raise_for_status()
        return f"amqp://poor:poor@{host}"

    yield make
    requests.delete(f"{api}users/poor", timeout=10)


def checked(app: Flask, url: str) -> tuple[int, str]:
    """What `flask --app wsgi broker check` answers."""
    its = parts(app)
    replace(its, config=replace(its.config, broker_url=url)).install(app)
    answer = FlaskCliRunner(app).invoke(args=["broker", "check"])
    return answer.exit_code, answer.output


def test_a_broker_that_allows_all_is_found_good(app: Flask, vhost: str) -> None:
    code, said = checked(app, vhost)
    assert (code, "✗" in said) == (0, False), said
    assert checked(app, vhost)[0] == 0  # once more, with everything declared


@pytest.mark.parametrize(("rights", "sentence"), [
    (("^(?!coordx)", ".*", ".*"), "RabbitMQ's user poor may not declare exchange coordx."),
    ((".*", "^(?!train$)", ".*"), "RabbitMQ's user poor may not bind queue train to exchange train."),
    ((".*", "^(?!coordx$)", ".*"), "RabbitMQ's user poor may not write to exchange coordx."),
    ((".*", ".*", "^(?!training.facts$)"), "RabbitMQ's user poor may not read queue training.facts."),
    ((".*", ".*", "^(?!states$)"), "RabbitMQ's user poor may not bind a queue states.check."),
], ids=["declare", "bind", "write", "read", "listen"])  # fmt: skip
def test_a_missing_right_is_named_with_the_command_that_grants_it(
    app: Flask, grant: Grant, rights: tuple[str, str, str], sentence: str
) -> None:
    url = grant(*rights)
    code, said = checked(app, url)
    assert code == 1
    assert sentence in said
    assert f"rabbitmqctl set_permissions -p {url.rpartition('/')[2]} poor" in said


def test_the_recorder_names_each_trouble_once_and_stays_connected(
    grant: Grant, caplog: pytest.LogCaptureFixture
) -> None:
    stop, watch = threading.Event(), BrokerWatch(make_celery(grant(".*", "^(?!(states|coordx)$)", ".*"), "test"))
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    wait_until(lambda: "acknowledgements can't be seen" in caplog.text, 30, "the last sentence")
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert caplog.text.count("RabbitMQ's user poor may not write to exchange coordx. Allow it: ") == 1
    assert "checked later" not in caplog.text


def test_a_login_that_is_refused_is_named(app: Flask, vhost: str) -> None:
    code, said = checked(app, vhost.replace("amqp://train_jobs:", "amqp://nobody:"))
    assert code == 1
    assert "RabbitMQ refuses: " in said


def test_a_queue_with_other_arguments_is_named_with_what_to_do(app: Flask, vhost: str) -> None:
    with Connection(vhost) as connection:
        connection.default_channel.queue_declare("train", durable=True, auto_delete=False)
    code, said = checked(app, vhost)
    assert code == 1
    assert "The queue train is there with other arguments than are needed (" in said
    assert f"rabbitmqctl -p {vhost.rpartition('/')[2]} delete_queue train" in said


def test_the_check_takes_nothing_from_the_queues(app: Flask, vhost: str) -> None:
    assert checked(app, vhost)[0] == 0
    with Connection(vhost) as connection:
        channel = connection.default_channel
        for queue in ("coord", "training.facts"):
            channel.basic_publish(channel.prepare_message(b"{}"), exchange="", routing_key=queue)
        assert checked(app, vhost)[0] == 0
        came: list[tuple[bytes, bool]] = []
        for queue in ("coord", "training.facts"):
            channel.basic_consume(queue, callback=lambda it: came.append((it.body, it.delivery_info["redelivered"])))
        while len(came) < 2:
            connection.drain_events(timeout=30)
    assert came == [(b"{}", False)] * 2


def test_what_the_check_writes_troubles_no_web_process(
    app: Flask, vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub, run_id = Hub(), uuid4()
    hub.subscribe(run_id)
    listener = Listener(partial(Connection, vhost), hub)
    thread = threading.Thread(target=listener.run)
    thread.start()

    def hears(attempt: int) -> bool:
        with Connection(vhost) as connection:
            connection.Producer(exchange=FANOUT_EXCHANGE).publish({"events": [], "attempts": {str(run_id): attempt}})
        return hub.note_attempt(run_id, 0) == attempt

    try:
        wait_until(lambda: hears(1), 30, "a web process that listens")
        assert checked(app, vhost)[0] == 0
        wait_until(lambda: hears(2), 30, "what was sent after the check")
    finally:
        listener.should_stop = True
        thread.join(30)
    assert "could not be read" not in caplog.text


def said_by_a_node(url: str) -> str:
    """What `python -m node check` finds at RabbitMQ."""
    out = io.StringIO()
    check.report(out, {"BROKER_URL": url, "NODE_TOKEN": "none"}, [check_platform.rabbitmq])
    return " ".join(out.getvalue().split())


def test_a_node_names_the_rights_and_the_queues_that_it_lacks(grant: Grant, vhost: str) -> None:
    url = grant(names.NODE_CONFIGURE, "^(coordx|states)$", names.NODE_READ)
    assert "RabbitMQ has not the exchange celeryev. The coordinator's program `recorder`" in said_by_a_node(url)
    with Connection(vhost) as connection:
        declare_all(connection.default_channel)
    said = said_by_a_node(url)
    assert "RabbitMQ's user poor may not write to exchange celeryev. On the coordinator's machine, `flask" in said
    assert said.count("NO ") == 1
    assert "NO " not in said_by_a_node(grant(names.NODE_CONFIGURE, names.NODE_WRITE, names.NODE_READ))
