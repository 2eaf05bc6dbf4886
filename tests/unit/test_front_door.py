"""The web asks itself as a node would: in vain where nobody answers in time."""

import socket
import time

import pytest

from coordinator import front_door
from coordinator.front_door import FrontDoor
from services.ports import HOST, free_ports


def test_who_is_not_there_does_not_answer() -> None:
    assert not FrontDoor(f"{HOST}:{free_ports(1, set())[0]}").answers()


def test_a_web_that_is_too_busy_to_answer_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_door, "PATIENCE_SECONDS", 0.2)
    with socket.create_server((HOST, 0)) as busy:
        began = time.monotonic()
        assert not FrontDoor(f"0.0.0.0:{busy.getsockname()[1]}").answers()
    assert time.monotonic() - began < 5


def test_a_socket_in_the_file_system_is_not_asked() -> None:
    assert FrontDoor("unix:/run/web.sock").answers()
