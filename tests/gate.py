"""A gate before a service: open it lets connections through, shut it cuts them all, as an outage does; frozen it
swallows everything without a word, as a cable that was pulled."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit

from services.ports import HOST, free_ports


class Gate:
    """Listens on a port of its own and passes everything on to the service at `port`, while it is open."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.port = free_ports(1, {port})[0]
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self.open()

    def url(self, behind: str) -> str:
        """The address of the service as it is reached through the gate."""
        return behind.replace(f":{urlsplit(behind).port}", f":{self.port}", 1)

    def open(self) -> None:
        """From now on connections are taken."""
        if self._listener:
            return
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """From now on connections are refused, and those there are have ended."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._open:
            _end(end)
        self._open.clear()

    def freeze(self) -> None:
        """From now on nothing comes through, and nobody is told: old connections and new ones are there, and silent."""
        self._flows.clear()

    def thaw(self) -> None:
        """What was on its way arrives, and all goes on."""
        self._flows.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._open.append(near)
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._flows.wait()
        try:
            far = socket.create_connection((HOST, self._behind))
        except OSError:  # whoever waits behind the gate is away
            _end(near)
            return
        self._open.append(far)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                sink.sendall(data)
        self._flows.wait()
        _end(source)
        _end(sink)


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended already
    finally:
        end.close()
