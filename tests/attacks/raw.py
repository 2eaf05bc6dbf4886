"""Requests byte by byte, as no library would send them."""

import json
import socket
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from services.platform import Platform
from tests.jobs import URL, body

JOB = json.dumps(body()).encode()
CLOSE = "Connection: close"


@dataclass(frozen=True)
class Answer:
    """The first one that came, and how many came in all; status 0 where the server said nothing."""

    status: int
    body: bytes = b""
    count: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def address_of(platform: Platform) -> tuple[str, int]:
    host, _, port = platform.url.removeprefix("http://").partition(":")
    return host, int(port)


def connect(platform: Platform, seconds: float = 20) -> socket.socket:
    return socket.create_connection(address_of(platform), timeout=seconds)


def request(line: str, *headers: str, content: bytes = b"") -> bytes:
    """Just these bytes: without a Content-Length unless it is among the headers."""
    return "\r\n".join([line, "Host: localhost", *headers, "", ""]).encode("latin-1") + content


def post(platform: Platform, *headers: str, content: bytes = JOB, length: object = None) -> bytes:
    """A job by the platform's user. `length` is a lie, or False for none."""
    token = f"Authorization: Bearer {platform.token}"
    counted = [] if length is False else [f"Content-Length: {len(content) if length is None else length}"]
    return request(f"POST {URL} HTTP/1.1", token, *counted, *headers, content=content)


def ask(platform: Platform, raw: bytes) -> Answer:
    """What comes until the server closes."""
    with closing(connect(platform)) as line:
        line.sendall(raw)
        return read(line)


def read(line: socket.socket) -> Answer:
    """To the end. A connection that is reset with its answer on the way has been answered."""
    came = bytearray()
    with suppress(ConnectionResetError):
        while chunk := line.recv(65_536):
            came += chunk
    head, _, content = bytes(came).partition(b"\r\n\r\n")
    if not head:
        return Answer(0)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (it.partition(": ") for it in lines)}
    return Answer(int(first.split()[1]), content, came.count(b"HTTP/1.1 "), headers)
