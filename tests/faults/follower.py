"""A game that does not give up: it comes back with `after` whenever its socket breaks, until its run has ended."""

import json
import threading
from typing import Any

import websocket

PAUSE_SECONDS = 0.3
SILENCE_SECONDS = 20
"""After so long without a word it takes the connection for dead."""


class Follower(threading.Thread):
    """Keeps every numbered message in the order in which it came, and the model."""

    def __init__(self, url: str, token: str, run_id: str, seen: tuple[str, ...] = ()) -> None:
        super().__init__(daemon=True)
        self.url, self.token, self.run_id = url, token, run_id
        self.frames = list(seen)
        self.models: list[bytes] = []
        self.comebacks = -1
        self.saw_the_end = False
        self._is_over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._is_over.is_set() and not self.saw_the_end:
            self.comebacks += 1
            try:
                self._follow()
            except (OSError, websocket.WebSocketException):
                self._is_over.wait(PAUSE_SECONDS)

    def leave(self) -> None:
        """It has seen enough."""
        self._is_over.set()

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in list(self.frames)]

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.messages]

    def wait_for_the_end(self, seconds: float) -> bool:
        """Whether it has been told of the end by then, and has got what comes after it."""
        self.join(seconds)
        return self.saw_the_end

    def _follow(self) -> None:
        header = [f"Authorization: Bearer {self.token}"]
        socket = websocket.create_connection(self.url, timeout=SILENCE_SECONDS, header=header)
        try:
            socket.send(json.dumps({"run_id": self.run_id, "after": self.seqs[-1] if self.frames else 0}))
            while not self._is_over.is_set():
                if self._take(*socket.recv_data()):
                    return
        finally:
            socket.shutdown()

    def _take(self, kind: int, data: bytes) -> bool:
        """True where this connection is over."""
        if kind == websocket.ABNF.OPCODE_TEXT and "seq" in json.loads(data):
            self.frames.append(data.decode())
        elif kind == websocket.ABNF.OPCODE_BINARY:
            self.models.append(bytes(data))
        elif kind == websocket.ABNF.OPCODE_CLOSE:
            self.saw_the_end = data[:2] == (1000).to_bytes(2, "big")
            if not self.saw_the_end:
                self._is_over.wait(PAUSE_SECONDS)
            return True
        return False
