"""Whole writes over real sockets with tiny buffers, under gevent as in the web processes."""

import struct

import gevent
import gevent.selectors
import pytest
from gevent import socket
from gevent.event import Event
from simple_websocket import Server

from coordinator.api.framing import let_the_silent_come_back
from coordinator.api.whole_writes import TOO_SLOW, TooSlow, WholeWrites, WholeWritesMiddleware

BIG = bytes(range(256)) * 4_000


class Line:
    """A connection whose far end reads when it is told to."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        self.writer = WholeWrites(self.near, seconds)

    def fill(self) -> int:
        """Until not another byte fits; how many did."""
        self.near.setblocking(False)
        filled = 0
        try:
            while True:
                filled += self.near.send(b"\0")
        except BlockingIOError:
            self.near.setblocking(True)
            return filled

    def read_all(self) -> bytes:
        parts = []
        while part := self.far.recv(1_000):
            parts.append(part)
        return b"".join(parts)


@pytest.fixture
def line() -> Line:
    return Line()


def test_a_message_larger_than_the_sockets_buffer_arrives_whole(line: Line) -> None:
    reader = gevent.spawn(line.read_all)
    assert line.writer.send(BIG) == len(BIG)
    line.near.close()
    assert reader.get(timeout=10) == BIG


def test_messages_of_several_writers_do_not_mix(line: Line) -> None:
    reader = gevent.spawn(line.read_all)
    messages = [bytes([letter]) * 100_000 for letter in b"abcde"]
    gevent.joinall([gevent.spawn(line.writer.send, message) for message in messages], timeout=10, raise_error=True)
    line.near.close()
    read = reader.get(timeout=10)
    assert sorted(read[at : at + 100_000] for at in range(0, len(read), 100_000)) == messages


def test_a_client_that_stops_reading_in_the_middle_of_what_is_too_big_is_cut_off() -> None:
    line = Line(seconds=0.1)
    with pytest.raises(TooSlow), gevent.Timeout(10):
        line.writer.send(4 * BIG)
    assert (4 * BIG).startswith(line.read_all())
    with pytest.raises(TooSlow):
        line.writer.send(b"more")


def test_a_client_that_stops_reading_finds_all_that_was_begun_and_1013_behind_it() -> None:
    line = Line(seconds=0.1)
    with pytest.raises(TooSlow), gevent.Timeout(10):
        line.writer.send(BIG[:60_000])
    with pytest.raises(TooSlow):
        line.writer.send(b"more")
    assert line.read_all() == BIG[:60_000] + TOO_SLOW


def test_a_client_whose_buffer_is_full_to_the_last_byte_finds_them_too() -> None:
    line = Line(seconds=0.1)
    filled = line.fill()
    with pytest.raises(TooSlow), gevent.Timeout(10):
        line.writer.send(b"one more")
    assert line.read_all() == b"\0" * filled + b"one more" + TOO_SLOW


def test_who_needs_longer_than_the_limit_but_reads_all_the_time_is_served() -> None:
    line = Line(seconds=1.0)
    sender = gevent.spawn(line.writer.send, BIG[:100_000])
    read = b""
    with gevent.Timeout(30):
        while len(read) < 100_000:
            gevent.sleep(0.05)  # 2 kB each: 2.5 s in all
            read += line.far.recv(2_000)
    assert sender.get(timeout=5) == 100_000
    assert read == BIG[:100_000]


def test_who_reads_slowly_but_reads_is_served(line: Line) -> None:
    line.fill()
    sender = gevent.spawn(line.writer.send, b"at last")
    gevent.sleep(0)
    assert not sender.ready()
    reader = gevent.spawn(line.read_all)
    assert sender.get(timeout=10) == 7
    line.near.close()
    assert reader.get(timeout=10).endswith(b"at last")


def test_one_slow_client_delays_no_other() -> None:
    slow, quick = Line(seconds=30), Line(seconds=30)
    stuck = gevent.spawn(slow.writer.send, BIG)
    gevent.sleep(0)
    assert quick.writer.send(b"hello") == 5
    assert not stuck.ready()
    slow.far.close()
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        stuck.get(timeout=10)


def test_a_socket_is_closed_after_its_client_has_said_all() -> None:
    """Otherwise the connection would be reset, and the client would not read what was sent last."""
    near, client = tcp_pair()
    client.sendall(BIG[:10_000])
    near.sendall(b"good-bye")
    closing = gevent.spawn(WholeWrites(near, 5.0).close)
    assert client.recv(100) == b"good-bye"
    assert client.recv(100) == b""
    client.close()
    closing.get(timeout=10)


def test_a_client_that_never_stops_talking_is_closed_all_the_same() -> None:
    line = Line(seconds=0.1)
    line.writer.close()
    with pytest.raises(OSError, match="Broken pipe"):
        line.far.send(b"and another thing")
    line.writer.close()


def test_whatever_else_a_socket_can_do_is_passed_on(line: Line) -> None:
    assert line.writer.fileno() == line.near.fileno()


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client = socket.create_connection(server.getsockname())
        return server.accept()[0], client


def environ_after(environ: dict[str, object]) -> dict[str, object]:
    WholeWritesMiddleware(lambda environ, _: environ, 5.0, 60.0)(environ, None)
    return environ


def test_a_websocket_is_not_compressed_and_writes_whole() -> None:
    client, _ = tcp_pair()
    environ = environ_after({
        "HTTP_UPGRADE": "WebSocket", "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate", "gunicorn.socket": client,
    })  # fmt: skip
    assert isinstance(environ["gunicorn.socket"], WholeWrites)
    assert "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in environ
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_other_requests_are_left_alone(line: Line) -> None:
    assert environ_after({"gunicorn.socket": line.near})["gunicorn.socket"] is line.near


HANDSHAKE = {
    "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade", "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==", "HTTP_HOST": "localhost",
}  # fmt: skip


class Greenlet:
    """What simple-websocket reads with, as in the web processes; here without patching all of Python."""

    name = ""

    def __init__(self, target: object) -> None:
        self._target = target

    def start(self) -> None:
        gevent.spawn(self._target)


def test_who_answers_no_ping_is_told_to_come_back(line: Line) -> None:
    environ = HANDSHAKE | {"werkzeug.socket": line.writer}
    selector = gevent.selectors.GeventSelector
    ws = Server(environ, ping_interval=0.1, thread_class=Greenlet, event_class=Event, selector_class=selector)
    let_the_silent_come_back(ws)
    with gevent.Timeout(10):
        *_, ping_and_close = line.read_all().partition(b"\r\n\r\n")
    assert ping_and_close[:2] == b"\x89\x00"
    assert struct.unpack("!xxH", ping_and_close[2:6]) == (1013,)
    assert not ws.connected
