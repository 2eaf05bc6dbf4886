"""Games as the field has them: they know the protocol and nothing of this project's code."""

import json
import struct
import threading
from typing import Any

import requests
import websocket

BODY = {
    "agent_config": "agent_config",
    "env_config": {"agent_id": "1", "env_id": "reach1d", "num_of_areas": 8},
    "nn_model_config": {"behavior_name": "Reach1D", "steps": 20_000},
}
SECONDS = 240


class Viewer(threading.Thread):
    """Connects, says hello once, and keeps all that comes. `leave_after` messages it goes away without a word."""

    def __init__(self, url: str, hello: dict[str, Any], token: str | None = None, leave_after: int | None = None):
        super().__init__(daemon=True)
        header = [f"Authorization: Bearer {token}"] if token else []
        self.socket = websocket.create_connection(url, timeout=SECONDS, header=header)
        self.socket.send(json.dumps(hello))
        self.leave_after = leave_after
        self.messages: list[dict[str, Any]] = []
        self.texts: list[bytes] = []
        """The same as they came."""
        self.binaries: list[bytes] = []
        self.order: list[str] = []
        self.close_code: int | None = None
        self.has_come = threading.Condition()
        self.start()

    def run(self) -> None:
        try:
            while self.leave_after is None or len(self.told) < self.leave_after:
                kind, data = self.socket.recv_data()
                with self.has_come:
                    self._take(kind, data)
                    self.has_come.notify_all()
                if self.close_code is not None:
                    break
        except (OSError, websocket.WebSocketException):
            self.close_code = self.close_code or 1006
        finally:
            self.socket.shutdown()
            with self.has_come:
                self.has_come.notify_all()

    def _take(self, kind: int, data: bytes) -> None:
        if kind == websocket.ABNF.OPCODE_TEXT:
            self.messages.append(json.loads(data))
            self.texts.append(bytes(data))
            self.order.append("text")
        elif kind == websocket.ABNF.OPCODE_BINARY:
            self.binaries.append(bytes(data))
            self.order.append("binary")
        elif kind == websocket.ABNF.OPCODE_CLOSE:
            self.close_code = struct.unpack("!H", data[:2])[0] if len(data) > 1 else 1005

    def wait_for(self, count: int) -> None:
        """Until so many numbered messages have come."""
        with self.has_come:
            assert self.has_come.wait_for(lambda: len(self.told) >= count or not self.is_alive(), SECONDS)
        assert len(self.told) >= count, f"The socket ended with {self.close_code} after {self.messages[-1:]}."

    def finish(self) -> "Viewer":
        """Until the server has said good-bye."""
        self.join(SECONDS)
        assert not self.is_alive(), "The run did not end."
        return self

    @property
    def told(self) -> list[dict[str, Any]]:
        """The messages with a number: all but what the environment itself has said, and errors."""
        return [message for message in list(self.messages) if "seq" in message]

    @property
    def states(self) -> list[bytes]:
        """What the environment has said, byte for byte."""
        return [text for message, text in zip(self.messages, self.texts, strict=True) if message["msg_id"] in (1, 4)]

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.told]

    @property
    def statuses(self) -> list[str]:
        return [message["status"] for message in self.messages if message["msg_id"] == 2]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["msg_id"] == 0]

    @property
    def checkpoints(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["msg_id"] == 13]


def submit(url: str, token: str, steps: int = 20_000) -> dict[str, Any]:
    """What a game posts, and the job it is answered with. The seed makes it the same training each time."""
    body = BODY | {"nn_model_config": {"behavior_name": "Reach1D", "steps": steps}, "seed": 1}
    answer = requests.post(f"{url}/api/v1/train-jobs", json=body, headers=bearer(token), timeout=30)
    assert answer.status_code == 200, answer.text
    job: dict[str, Any] = answer.json()
    return job


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
