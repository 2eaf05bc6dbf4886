"""What the recorder says while it can't look after nodes' users at RabbitMQ: what is wrong and what to do, once."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask

from coordinator.broker_logins import BrokerLogins
from coordinator.broker_users import ADVICE, SWITCH_ON
from coordinator.parts import parts
from services.platform import wait_until
from tests.gate import Gate
from tests.issuer import KeyServer, key_server

LOST = "Users of nodes that RabbitMQ has lost can't be made again, and those nodes do not get in: "
BACK = "Users of nodes that RabbitMQ loses are made again, as before."


@pytest.fixture
def api() -> Iterator[KeyServer]:
    """What answers in the management API's place: what a test lets it say."""
    with key_server() as server:
        yield server


@pytest.fixture
def gate(app: Flask, api: KeyServer) -> Iterator[Gate]:
    """Before it, shut. Behind it nothing is lost as long as the server says so."""
    gate, stop = Gate(api.http.server_port), threading.Event()
    gate.shut()
    config = replace(parts(app).config, broker_api=f"http://admin:hush@127.0.0.1:{gate.port}/api/")
    thread = threading.Thread(target=BrokerLogins(app, config, every=0.01).run, args=(stop,))
    thread.start()
    yield gate
    stop.set()
    thread.join()
    gate.shut()


def test_what_keeps_lost_users_from_being_made_again_is_told_once_with_what_to_do(
    api: KeyServer, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "coordinator.broker_logins")
    told = [
        f"{LOST}RabbitMQ's management API does not answer at 127.0.0.1:{gate.port} (ConnectionError). "
        f"{SWITCH_ON} {ADVICE}"
    ]
    wait_until(lambda: caplog.messages, 10, "a word on a port where nobody listens")
    assert caplog.messages == told
    for status, content, said in (
        (500, b"", f"{LOST}RabbitMQ's management API refuses GET /users: 500. {ADVICE}"),
        (200, b"<html>", f"{LOST}What answers at 127.0.0.1:{gate.port} is not RabbitMQ's management API: {ADVICE}"),
        (200, b"[1]", None),  # the same trouble once more
        (200, b"[]", BACK),
    ):
        api.status, api.content = status, content
        gate.open()
        api.paths.clear()
        wait_until(lambda: len(api.paths) > 5, 10, "several looks")
        told += [said] if said else []
        assert caplog.messages == told
    assert set(api.paths) == {"/api/users"}
