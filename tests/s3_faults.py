"""S3 with faults: stands between nodes and S3, and does to some uploads what networks and disks do.

A platform sends its nodes there when S3_PUBLIC_ENDPOINT_URL is the address of it.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from services.ports import HOST, free_ports

Change = Callable[[bytes, int], bytes]
"""What becomes of bytes of a request's body, of which so many came before them."""


class Cut(Exception):
    """The connection breaks here."""


@dataclass
class Fault:
    """What happens to requests whose address has `of` in it, `times` times (None: until it is mended)."""

    happens: Callable[[socket.socket, bytes], bool] | None = None
    """Answers in S3's place; False when S3 is to answer all the same."""
    change: Change | None = None
    of: str = "/staging/"
    times: int | None = None


class S3Faults:
    """Listens on a port of its own and passes requests on to S3 at `url`, but for the fault that is on."""

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url).port or 80
        self.port = free_ports(1, {self._behind})[0]
        self.url = f"http://{HOST}:{self.port}"
        self.fault: Fault | None = None
        self.seen: list[str] = []
        """The address of each request."""
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Connections are taken."""
        self._listener = socket.create_server((HOST, self.port))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)  # what is slow is not to hide in here
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens any more."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def mend(self) -> None:
        """No fault any more."""
        self.fault = None
        if self._listener is None:
            self.open()

    def cut_after(self, size: int, **which: object) -> None:
        """The connection breaks after so many bytes of the file."""

        def change(data: bytes, before: int) -> bytes:
            if before + len(data) > size:
                raise Cut
            return data

        self.fault = Fault(change=change, **which)  # type: ignore[arg-type]

    def slow(self, bytes_per_second: float, **which: object) -> None:
        """A thin line."""

        def change(data: bytes, before: int) -> bytes:
            time.sleep(len(data) / bytes_per_second)
            return data

        self.fault = Fault(change=change, **which)  # type: ignore[arg-type]

    def flip(self, at: int, **which: object) -> None:
        """One bit of the file arrives as another one."""

        def change(data: bytes, before: int) -> bytes:
            place = at - before
            if 0 <= place < len(data):
                return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            return data

        self.fault = Fault(change=change, **which)  # type: ignore[arg-type]

    def swallow(self, **which: object) -> None:
        """What comes disappears, and nothing answers."""

        def happens(near: socket.socket, head: bytes) -> bool:
            while near.recv(65_536):
                pass
            return True

        self.fault = Fault(happens=happens, **which)  # type: ignore[arg-type]

    def answer(self, status: int, **which: object) -> None:
        """S3 says no: 403, 503, 507 ..."""

        def happens(near: socket.socket, head: bytes) -> bool:
            _read_body(near, head)
            near.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return True

        self.fault = Fault(happens=happens, **which)  # type: ignore[arg-type]

    def lose(self, **which: object) -> None:
        """S3 says that it has the file, and has not."""
        self.answer(200, **which)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError, Cut):
            head = _read_head(near)
            fault = self._take(head.partition(b"\r\n")[0].decode())
            if fault and fault.happens and fault.happens(near, head):
                return
            with socket.create_connection((HOST, self._behind)) as far:
                back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
                back.start()
                _pass_body(near, far, head, fault.change if fault else None)
                back.join()

    def _take(self, line: str) -> Fault | None:
        """The fault that is meant for this request."""
        with self._lock:
            self.seen.append(line.split()[1].partition("?")[0])
            fault = self.fault
            if fault is None or fault.of not in line or fault.times == 0:
                return None
            if fault.times is not None:
                fault.times -= 1
            return fault


def _read_head(near: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        data = near.recv(65_536)
        if not data:
            raise OSError("It ended before its head was complete.")
        head += data
    return head


def _read_body(near: socket.socket, head: bytes) -> None:
    fields, _, begun = head.partition(b"\r\n\r\n")
    sizes = [line.partition(b":")[2] for line in fields.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = int(sizes[0]) - len(begun) if sizes else 0
    while left > 0 and (data := near.recv(65_536)):
        left -= len(data)


def _pass_body(near: socket.socket, far: socket.socket, head: bytes, change: Change | None) -> None:
    """A connection carries one request: whoever comes here does not keep it for others."""
    fields, blank, data = head.partition(b"\r\n\r\n")
    far.sendall(fields + blank)
    before = 0
    while data or before == 0:
        if data:
            far.sendall(change(data, before) if change else data)
            before += len(data)
        data = near.recv(16_384)
        if not data:
            return


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
