"""A recorded episode over the WebSocket: the build's own bytes, in order and in time, then good-bye."""

import json
import struct
import time
from typing import Any

import pytest
import requests

from services.platform import Platform, wait_until
from tests.integration.live import connect, farewell, new_run
from tests.jobs import URL, bearer
from tests.recording import ODD, piece
from tests.stub_node import StubNode

STATE = b'{"msg_id":1}'


@pytest.fixture
def recorded(platform: Platform, stub_node: StubNode) -> str:
    """A run with three recorded episodes, the last of a second's length."""
    run_id = new_run(platform)
    stub_node.claim(run_id)
    stub_node.record(run_id, *piece(ODD, ODD[2:], [STATE] * 3, interval_ms=500))
    address, headers = f"{platform.url}{URL}/{run_id}/episodes", bearer(platform.token)
    wait_until(lambda: len(requests.get(address, headers=headers, timeout=10).json()) == 3, 30, "the episodes")
    return run_id


def replayed(platform: Platform, **hello: Any) -> tuple[list[bytes], int]:
    """What comes until the server closes, byte for byte, and the close code."""
    made, texts = connect(platform, platform.token), list[bytes]()
    made.send(json.dumps(hello))
    while True:
        kind, data = made.recv_data()
        if kind == 8:
            made.shutdown()
            return texts, struct.unpack("!H", data[:2])[0]
        assert kind == 1
        texts.append(bytes(data))


def test_an_episode_is_replayed_byte_for_byte(platform: Platform, recorded: str) -> None:
    assert replayed(platform, run_id=recorded, episode=1, speed=0) == (ODD, 1000)
    assert replayed(platform, run_id=recorded, episode=2, attempt=1, speed=1000) == (ODD[2:], 1000)


def test_it_takes_as_long_as_it_took_or_as_is_asked_for(platform: Platform, recorded: str) -> None:
    lasted = []
    for speed in ({}, {"speed": 4.0}):
        began = time.monotonic()
        assert replayed(platform, run_id=recorded, episode=3, **speed) == ([STATE] * 3, 1000)
        lasted.append(time.monotonic() - began)
    assert lasted[0] >= 1.0
    assert lasted[1] >= 0.25


@pytest.mark.parametrize("hello", [{"episode": 4}, {"episode": 1, "attempt": 2}, {"episode": 0}, {"episode": "1"},
                                   {"episode": 1, "speed": -1}, {"episode": 1, "speed": 1e300}])  # fmt: skip
def test_what_cannot_be_replayed_is_refused_with_a_sentence(
    platform: Platform, recorded: str, hello: dict[str, Any]
) -> None:
    made = connect(platform, platform.token)
    made.send(json.dumps({"run_id": recorded} | hello))
    (message,), code = farewell(made)
    assert (code, message["msg_id"], message["detail"][-1]) == (1008, 10, ".")
