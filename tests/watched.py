"""The clients that tests use, whose traffic is held against the API's document."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import websocket
from flask.testing import FlaskClient

from tests import traffic
from tests.traffic import Exchange


class WatchedClient(FlaskClient):
    """Flask's test client."""

    def open(self, *args: Any, **options: Any) -> Any:
        answer = super().open(*args, **options)
        request = answer.request
        content = None if answer.is_streamed else answer.get_data()
        traffic.saw(Exchange(request.method, request.path, _sent(options), answer.status_code, answer.headers, content))
        return answer


def _sent(options: dict[str, Any]) -> bytes | None:
    data = options.get("data")
    return data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else None


@pytest.fixture(scope="session", autouse=True)
def requests_are_watched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        send = requests.Session.send

        def watched(self: requests.Session, request: Any, **options: Any) -> requests.Response:
            answer = send(self, request, **options)
            sent = request.body if isinstance(request.body, bytes) else None
            content = None if options.get("stream") else answer.content
            traffic.saw(Exchange(request.method, request.url, sent, answer.status_code, answer.headers, content))
            return answer

        patch.setattr(requests.Session, "send", watched)
        yield


@pytest.fixture(scope="session", autouse=True)
def sockets_are_watched() -> Iterator[None]:
    """Those at which games watch: what comes, and with which code it ends."""
    with pytest.MonkeyPatch.context() as patch:
        connect, receive = websocket.WebSocket.connect, websocket.WebSocket.recv_data

        def connected(self: Any, url: str, **options: Any) -> None:
            self.is_of_a_game = url.endswith("/ws/v1/client-stream")
            connect(self, url, **options)

        def received(self: Any, control_frame: bool = False) -> tuple[int, bytes]:
            opcode, data = receive(self, control_frame)
            if getattr(self, "is_of_a_game", False):
                traffic.received(opcode, data)
            return opcode, data

        patch.setattr(websocket.WebSocket, "connect", connected)
        patch.setattr(websocket.WebSocket, "recv_data", received)
        yield


@pytest.fixture(autouse=True)
def traffic_is_as_the_documents_say(requests_are_watched: None, sockets_are_watched: None) -> Iterator[None]:
    """Fails the test that has seen something which the document does not say."""
    yield
    seen, traffic.violations[:] = list(dict.fromkeys(traffic.violations)), []
    assert not seen, "Not as the API's documents say:\n" + "\n".join(seen)
