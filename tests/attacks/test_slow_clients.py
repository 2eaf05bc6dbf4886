"""Clients that send or take a byte now and then: hundreds of them keep nobody else waiting, and each is let go in time.

The platform of the tests gives a request 3 s (REQUEST_SECONDS) and a hello 1 s (HELLO_SECONDS).
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from statistics import median

import psutil
import pytest
import requests

from services.platform import Platform, wait_until
from tests.attacks.raw import address_of, connect, post, read, request
from tests.integration.live import connect as websocket
from tests.integration.live import farewell
from tests.jobs import URL, bearer

MANY = 200
LET_GO_SECONDS = 15
"""Far more than the 3 s, as the machine is busy, and far less than for ever."""
HANDSHAKE = request(
    "GET /ws/v1/client-stream HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
FRAME = b"\x81\xfe\x10\x00mask"
"""The head of a text message of 4096 bytes."""


@pytest.fixture
def crowd(platform: Platform) -> Iterator[list[socket.socket]]:
    """Many connections, which are closed at the end."""
    lines = [connect(platform) for _ in range(MANY)]
    yield lines
    for line in lines:
        line.close()


def dripped(lines: list[socket.socket], drop: bytes, meanwhile: Callable[[], None]) -> float:
    """After how many seconds the last of them was let go; each is sent a drop every tenth of a second."""
    began, living = time.monotonic(), lines
    while living:
        assert time.monotonic() - began < LET_GO_SECONDS, f"{len(living)} are still served."
        living = [line for line in living if _takes(line, drop)]
        meanwhile()
        time.sleep(0.1)
    return time.monotonic() - began


def _takes(line: socket.socket, drop: bytes) -> bool:
    line.setblocking(False)
    try:
        line.send(drop)
        return line.recv(65_536) != b""  # what it is told is of no interest here
    except BlockingIOError:
        return True
    except OSError:
        return False


def served(platform: Platform, seconds: list[float]) -> None:
    """An honest game, with a connection of its own."""
    began = time.monotonic()
    assert requests.get(platform.url + URL, headers=bearer(platform.token), timeout=20).status_code == 200
    seconds.append(time.monotonic() - began)


@pytest.mark.parametrize("what", ["headers", "body", "hello"])
def test_a_crowd_that_drips_is_let_go_and_keeps_nobody_waiting(
    platform: Platform, crowd: list[socket.socket], what: str
) -> None:
    begun = {"headers": b"GET /livez HTTP/1.1\r\nX: ", "body": post(platform, content=b"{", length=60_000),
             "hello": HANDSHAKE + FRAME}[what]  # fmt: skip
    seconds: list[float] = []
    for line in crowd:
        line.sendall(begun)
    assert dripped(crowd, b"a", lambda: served(platform, seconds)) > 0.5
    assert median(seconds) < 0.5
    assert max(seconds) < 5


def test_a_body_that_does_not_end_is_answered(platform: Platform) -> None:
    with connect(platform) as line:
        line.sendall(post(platform, content=b"{", length=100))
        answer = read(line)
    assert answer.status == 408
    assert answer.json == {"code": "too_slow", "detail": "The body did not come to its end within 3 s."}


def test_a_connection_on_which_nothing_is_asked_is_closed(platform: Platform) -> None:
    with connect(platform) as new, connect(platform) as used:
        used.sendall(request("GET /livez HTTP/1.1"))
        began = time.monotonic()
        assert read(new).status == 0
        assert read(used).count == 1
    assert time.monotonic() - began < LET_GO_SECONDS


def test_a_hello_that_comes_too_late_is_refused_with_a_sentence(platform: Platform) -> None:
    late = websocket(platform, platform.token)
    late.sock.sendall(FRAME + b"{")
    (message,), code = farewell(late)
    assert (code, message["detail"][:25]) == (1008, "No hello came within 1 s.")


def test_who_takes_nothing_of_an_answer_is_let_go(platform: Platform) -> None:
    """An answer larger than what the kernels keep on its way, to a client that never reads."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        line.connect(address_of(platform))
        its_port = line.getsockname()[1]
        with suppress(OSError):
            for _ in range(400):
                line.sendall(request(f"GET {URL} HTTP/1.1", f"Authorization: Bearer {platform.token}"))
        assert _is_served(platform, its_port)
        wait_until(lambda: not _is_served(platform, its_port), LET_GO_SECONDS, "the end of the connection")
    assert "Traceback" not in platform.log("web"), platform.log("web")[-3000:]


def _is_served(platform: Platform, port: int) -> bool:
    main = psutil.Process(platform.process("web").pid)
    lines = [line for it in [main, *main.children(recursive=True)] for line in it.net_connections("tcp")]
    return any(line.raddr and line.raddr.port == port for line in lines)
