"""Games at the WebSocket of a running platform."""

import json
import struct
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
