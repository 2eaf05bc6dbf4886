"""The way to the fanout at its bound: who tells events never waits, and what does not fit is dropped."""

import time
from functools import partial
from uuid import uuid4

import pytest

from coordinator.broker import connection
from coordinator.ledger import Told
from coordinator.live.bus import BACKLOG, Publisher
from services.ports import free_ports


def test_while_the_broker_is_away_telling_neither_waits_nor_fails_nor_grows(caplog: pytest.LogCaptureFixture) -> None:
    publisher, run_id = Publisher(partial(connection, f"amqp://127.0.0.1:{free_ports(1, set())[0]}//")), uuid4()
    began = time.monotonic()
    for seq in range(1, BACKLOG + 101):
        publisher.publish([Told(run_id, seq, False, "{}")])
    assert time.monotonic() - began < 5
    assert publisher._queue.qsize() <= BACKLOG
    assert f"The fanout is {BACKLOG} messages behind; web processes will read from PostgreSQL." in caplog.text
