"""The issuer's host, from which its public keys are fetched: bounded in time and size, whatever it does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from ...errors import Unavailable

STEP_SECONDS, ALL_SECONDS = 3.0, 6.0
"""How long it may be silent, and how long the whole may take."""
MOST_BYTES = 262_144


def fetch(url: str) -> bytes:
    """What lies at an https address, or an http one of this machine. No redirect is followed. Raises Unavailable."""
    its = urlsplit(url)
    kind = HTTPSConnection if its.scheme == "https" else HTTPConnection
    connection = kind(its.hostname or "", its.port, timeout=STEP_SECONDS)
    try:
        connection.connect()
        with _ending(connection.sock):
            return _get(connection, its._replace(scheme="", netloc="", fragment="").geturl() or "/")
    except (OSError, HTTPException, ValueError) as error:  # ValueError: it was cut off in the middle of TLS
        raise Unavailable(str(error) or type(error).__name__) from None
    finally:
        connection.close()


@contextmanager
def _ending(its: socket.socket) -> Iterator[None]:
    """Cuts off a host that sends a byte now and then, forever."""
    is_over = threading.Event()  # set before the reader wakes up, which a timer's own mark is not
    end = threading.Timer(ALL_SECONDS, _cut, [its, is_over])
    end.daemon = True
    end.start()
    try:
        yield
        if is_over.is_set():
            raise TimeoutError("timed out")  # what came until then looks like a whole answer
    finally:
        end.cancel()


def _get(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Accept": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise Unavailable(f"it answered {answer.status}")
    content = answer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise Unavailable(f"it sent more than {MOST_BYTES} bytes")
    return content


def _cut(its: socket.socket, is_over: threading.Event) -> None:
    is_over.set()
    try:
        its.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself
