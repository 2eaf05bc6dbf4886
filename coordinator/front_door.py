"""Does the web answer at its own door as soon as a node's heartbeat needs it to? Asked before each of its beats.

A web that is so busy that heartbeats time out is as good as away, though all its processes live: no lease may end then.
"""

from http.client import HTTPConnection, HTTPException

PATIENCE_SECONDS = 2.0
"""Less than a node waits for the answer to a heartbeat (node/central.py)."""
ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104


class FrontDoor:
    """The address and port at which the web listens; `bind` as gunicorn takes it."""

    def __init__(self, bind: str) -> None:
        host, _, port = bind.rpartition(":")
        self._host = ANY.get(host, host.strip("[]"))
        self._port = int(port) if port.isdecimal() else None

    def answers(self) -> bool:
        """Through the same queue of connections as everybody's. A socket in the file system is not asked."""
        if self._port is None:
            return True
        connection = HTTPConnection(self._host, self._port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):  # busy, or not there (any more)
            return False
        finally:
            connection.close()
