"""The node's connections: what threads beside its pool do must hold no lock that a child would be forked with."""

import sys
from collections.abc import Sequence
from types import ModuleType

import pytest

from node.config import Config
from node.connection import Returning, connection


class Asked:
    """Stands before all who find modules, and finds none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        self.names.append(name)


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_making_a_connection_looks_for_no_module(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    url, asked = f"{scheme}://node:secret@localhost:5672/train_jobs", Asked()
    config = Config(broker_url=url)
    connection(config)  # whatever is needed is there from now on
    monkeypatch.setattr(sys, "meta_path", [asked, *sys.meta_path])
    made = connection(config)
    assert isinstance(made.clone(), Returning)
    assert asked.names == []
    assert made.as_uri() == f"{scheme}://node:**@localhost:5672/train_jobs"
