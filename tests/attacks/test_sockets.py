"""A thousand WebSockets of one token: as many as its user may have are served, the others are told so, and the web has
time and memory for everybody else."""

import json
import resource
import select
import socket
import struct
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psutil
import pytest
import requests

from coordinator.limiting.limit_kinds import USUAL_USER
from services.platform import Platform
from tests.acceptance.viewers import submit
from tests.attacks.raw import connect, request
from tests.jobs import URL, bearer

MANY, MOST = 1_000, USUAL_USER["sockets"]
MOST_MEMORY = 300_000
"""Bytes of the web process for each socket, as for one that stops reading."""
TEXT, CLOSE = 0x81, 0x88


@pytest.fixture
def before(platform: Platform) -> int:
    """The memory of the web."""
    return memory_of(platform)


@pytest.fixture
def crowd(platform: Platform) -> Iterator[list[socket.socket]]:
    """Connections that have become WebSockets of a new user's and said hello, for a run of his."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    token = platform.run("flask --app wsgi tokens create crowd")
    run_id = submit(platform.url, token)["run_id"]
    opening = request(
        "GET /ws/v1/client-stream HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Authorization: Bearer {token}",
    )  # fmt: skip
    hello = json.dumps({"run_id": run_id}).encode()
    lines = []
    for _ in range(MANY):
        line = connect(platform, 60)
        line.sendall(opening)
        assert line.recv(4_096).startswith(b"HTTP/1.1 101 ")
        line.sendall(struct.pack("!BBI", TEXT, 0x80 | len(hello), 0) + hello)  # a mask of zeros
        lines.append(line)
    yield lines
    for line in lines:
        line.close()


def frame(line: socket.socket) -> tuple[int, bytes]:
    """The next one: what it is, and its content."""
    kind, size = _exactly(line, 2)
    if size == 126:
        (size,) = struct.unpack("!H", _exactly(line, 2))
    return kind, _exactly(line, size)


def _exactly(line: socket.socket, size: int) -> bytes:
    came = b""
    while len(came) < size:
        chunk = line.recv(size - len(came))
        assert chunk, "It was cut off without a word."
        came += chunk
    return came


def said(line: socket.socket) -> Any:
    kind, content = frame(line)
    assert kind == TEXT
    return json.loads(content)


def is_open(line: socket.socket) -> bool:
    """Whether the web has not said good-bye there, once all that came is read."""
    while select.select([line], [], [], 0)[0]:
        if not line.recv(1, socket.MSG_PEEK) or frame(line)[0] == CLOSE:
            return False
    return True


def memory_of(platform: Platform) -> int:
    main = psutil.Process(platform.process("web").pid)
    return sum(it.memory_info().rss for it in [main, *main.children(recursive=True)])


def test_of_a_thousand_sockets_so_many_are_served_as_the_user_may_have(
    before: int, platform: Platform, crowd: list[socket.socket]
) -> None:
    served, refused = [], []
    for line in crowd:
        its = said(line)
        if its["msg_id"] != 10:
            served.append(line)
        else:
            refused.append(its["detail"])
            kind, content = frame(line)
            assert (kind, struct.unpack("!H", content[:2])[0]) in ((CLOSE, 1008), (CLOSE, 1013))
    assert any(its.startswith(f"User 'crowd' has {MOST} WebSockets here, and may have {MOST}.") for its in refused)
    assert sum(is_open(line) for line in served) <= MOST
    assert memory_of(platform) - before < MANY * MOST_MEMORY
    assert_others_are_served(platform)


def assert_others_are_served(platform: Platform) -> None:
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        assert requests.get(platform.url + URL, headers=bearer(platform.token), timeout=20).status_code == 200
        seconds.append(time.monotonic() - began)
    assert median(seconds) < 0.5
