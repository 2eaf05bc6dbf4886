"""A game, as far as the coordinator is concerned: submits a training, watches it over the WebSocket, takes the model.

To be read as an example: it needs only `requests` and `websocket-client`, and knows nothing of the coordinator's code.
"""

import json
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
import websocket

METRICS, STATUS, ERROR = 0, 2, 10
NORMAL, REFUSED = 1000, 1008
ANSWER_SECONDS = 30.0
RECONNECT_SECONDS = 1.0
GIVE_UP_SECONDS = 120.0

Message = dict[str, Any]


class GameError(Exception):
    """The coordinator said no; the message is its sentence."""


class Game:
    """One player's view of the coordinator at `url`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {token}"

    def submit(self, env_id: str, behaviour: str, steps: int, areas: int, seed: int | None = None) -> Message:
        """Ask for a training; the answer is the job, with its `run_id`. The same seed gives the same training again."""
        body = {
            "agent_config": "agent_config",
            "env_config": {"agent_id": "1", "env_id": env_id, "num_of_areas": areas},
            "nn_model_config": {"behavior_name": behaviour, "steps": steps},
        } | ({} if seed is None else {"seed": seed})
        job: Message = self._ask("POST", "/api/v1/train-jobs", json=body).json()
        return job

    def job(self, run_id: str) -> Message:
        """The job as it stands."""
        job: Message = self._ask("GET", f"/api/v1/train-jobs/{run_id}").json()
        return job

    def model(self, run_id: str) -> bytes:
        """The trained model, for a game that was not watching when it came."""
        return self._ask("GET", f"/api/v1/train-jobs/{run_id}/nn-model").content

    def watch(self, run_id: str, after: int | None = None) -> Iterator[Message | bytes]:
        """Every message of the run in order, each once, at last the model's bytes when it succeeded.

        A connection that breaks is opened again where it broke off. Raises GameError when the coordinator refuses, or
        stays away.
        """
        lost_at: float | None = None
        while True:
            try:
                for message in self._connection(run_id, after):
                    if isinstance(message, dict):
                        after = message.get("seq", after)
                    lost_at = None
                    yield message
            except (OSError, websocket.WebSocketException) as error:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > GIVE_UP_SECONDS:
                    raise GameError(f"The coordinator at {self.url} does not answer ({error}).") from error
                time.sleep(RECONNECT_SECONDS)
            else:
                return

    def _connection(self, run_id: str, after: int | None) -> Iterator[Message | bytes]:
        """One connection, from the hello to the server's good-bye; any other end is a ConnectionError."""
        parts = urlsplit(self.url)
        address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/ws/v1/client-stream"
        header = [f"Authorization: Bearer {self.token}"]
        socket: Any = websocket.create_connection(address, timeout=ANSWER_SECONDS, header=header)
        refusal = ""
        try:
            socket.send(json.dumps({"run_id": run_id} if after is None else {"run_id": run_id, "after": after}))
            while True:
                kind, data = socket.recv_data()
                if kind == websocket.ABNF.OPCODE_CLOSE:
                    return farewell(data, refusal)
                message = bytes(data) if kind == websocket.ABNF.OPCODE_BINARY else json.loads(data)
                refusal = message["detail"] if isinstance(message, dict) and message["msg_id"] == ERROR else refusal
                yield message
        finally:
            socket.shutdown()

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = self.http.request(method, self.url + path, timeout=ANSWER_SECONDS, **more)
        if answer.status_code != requests.codes.ok:
            raise GameError(f"{method} {path} was answered with {answer.status_code}: {detail(answer)}")
        return answer


def farewell(frame: bytes, refusal: str) -> None:
    """Returns at a regular end; raises GameError for a refusal, ConnectionError for an end that was not the run's."""
    code = struct.unpack("!H", frame[:2])[0] if len(frame) > 1 else 0
    if code == REFUSED:
        raise GameError(refusal or frame[2:].decode(errors="replace"))
    if code != NORMAL:
        raise ConnectionError(f"the server closed with {code}")


def detail(answer: requests.Response) -> str:
    """The sentence of an error's body, or the body."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]
