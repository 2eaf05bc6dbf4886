"""Games at the WebSocket of a running platform."""

import json
import struct
import threading
import time
from typing import Any

import requests
import websocket

from services.platform import Platform
from tests.acceptance.viewers import Viewer, submit
from tests.jobs import URL, bearer, body


def new_run(platform: Platform) -> str:
    """A submitted run of the platform's user."""
    return str(submit(platform.url, platform.token)["run_id"])


def resume(platform: Platform, run_id: str) -> None:
    """Asks for more steps of a run."""
    content = body(run_id=run_id)
    requests.post(platform.url + URL, json=content, headers=bearer(platform.token), timeout=30).raise_for_status()


def watch(platform: Platform, run_id: str, leave_after: int | None = None, **hello: Any) -> Viewer:
    """A viewer of the run, who may begin `after` a number."""
    return Viewer(platform.socket_url, {"run_id": run_id, **hello}, platform.token, leave_after)


def connect(platform: Platform, token: str | None = None, **options: Any) -> Any:
    """A bare WebSocket that has said nothing yet."""
    header = [f"Authorization: Bearer {token}"] if token else []
    return websocket.create_connection(platform.socket_url, timeout=30, header=header, **options)


def connected(platform: Platform, token: str, run_id: str, how: str = "header", **options: Any) -> Any:
    """A socket that has its first message; the token came in that way."""
    said: dict[str, Any] = {}
    if how == "hello":
        said = {"token": token}
    elif how == "ticket":
        answer = requests.post(f"{platform.url}{URL}/{run_id}/ticket", headers=bearer(token), timeout=30)
        said = {"ticket": answer.json()["ticket"]}
    elif how == "subprotocol":
        options["subprotocols"] = ["bearer", token]
    socket = connect(platform, token if how == "header" else None, **options)
    socket.send(json.dumps({"run_id": run_id} | said))
    first = json.loads(socket.recv())
    assert (first["msg_id"], first.get("run_id")) == (2, run_id)
    return socket


def farewell(socket: Any) -> tuple[list[dict[str, Any]], int]:
    """What comes until the server closes, and the code it closes with (1006: without one)."""
    texts = list[dict[str, Any]]()
    try:
        while True:
            kind, data = socket.recv_data()
            if kind == websocket.ABNF.OPCODE_CLOSE:
                return texts, struct.unpack("!H", data[:2])[0]
            assert kind == websocket.ABNF.OPCODE_TEXT, f"Something else than text: {kind}"
            texts.append(json.loads(data))
    except (OSError, websocket.WebSocketConnectionClosedException):
        return texts, 1006
    finally:
        socket.shutdown()


class Faithful(threading.Thread):
    """A game that comes back with `after` until the server says that all was sent, whatever happens on the way."""

    def __init__(self, platform: Platform, run_id: str, **options: Any) -> None:
        super().__init__(daemon=True)
        self._platform, self._run_id, self._options = platform, run_id, options
        self.messages: list[dict[str, Any]] = []
        self.binaries: list[bytes] = []
        self.codes: list[int] = []
        """With which its connections have ended."""
        self.start()

    def run(self) -> None:
        while self.codes[-1:] != [1000]:
            try:
                self.codes.append(self._watch())
            except (OSError, websocket.WebSocketException):
                self.codes.append(1006)
            if self.codes[-1] != 1000:
                time.sleep(0.2)

    def _watch(self) -> int:
        """One connection, to its end; the code with which it was closed."""
        made = connect(self._platform, self._platform.token, **self._options)
        try:
            made.send(json.dumps({"run_id": self._run_id, "after": self.messages[-1]["seq"] if self.messages else 0}))
            while True:
                kind, data = made.recv_data()
                if kind == websocket.ABNF.OPCODE_CLOSE:
                    return int(struct.unpack("!H", data[:2])[0])
                if kind == websocket.ABNF.OPCODE_BINARY:
                    self.binaries.append(data)
                elif "seq" in (message := json.loads(data)):
                    self.messages.append(message)
        finally:
            made.shutdown()

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.messages]

    def finish(self, seconds: float = 60) -> "Faithful":
        """Until all was sent."""
        self.join(seconds)
        assert not self.is_alive(), (
            f"After {seconds:.0f} s it has {len(self.messages)} messages, and {self.codes[-5:]}."
        )
        return self
