"""Jobs in a database of their own."""

import pytest

from tests.jobs import URL, Client, body


@pytest.fixture
def run_id(client: Client, owner: dict[str, str]) -> str:
    """A submitted job of the owner's."""
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])


@pytest.fixture
def other_run_id(client: Client, owner: dict[str, str]) -> str:
    """Another one."""
    return str(client.post(URL, json=body(), headers=owner).json["run_id"])
