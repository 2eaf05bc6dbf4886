"""Jobs in a database of their own."""

import pytest

from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode


@pytest.fixture
def run_id(client: Client, owner: dict[str, str]) -> str:
    """A submitted job of the owner's."""
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def other_run_id(client: Client, owner: dict[str, str]) -> str:
    """Another one."""
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def room(played: PlayedNode) -> None:
    """A node with room for a hundred trainings: so many are sent."""
    assert played.post("/hello", {"slots": 100, "has": {"gpus": ["A100"]}}).status_code == 200
