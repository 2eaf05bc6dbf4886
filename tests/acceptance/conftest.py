"""The whole platform over real services of its own, started by the Procfile's commands, with a real training node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform import Platform
from services.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Services that a test may kill: not shared with other modules."""
    running = Stack(tmp_path_factory.mktemp("services"), environ={})
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def platform(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything but Flower; old games without a token are served."""
    settings = {"SERVE_GAMES_WITHOUT_TOKEN": "1"}
    with Platform(stack, tmp_path_factory.mktemp("platform"), settings) as running:
        running.start("web", "results", "recorder", "node")
        yield running


@pytest.fixture(scope="session")
def reach1d() -> Path:
    """The reference environment's folder."""
    return Path(__file__).resolve().parents[2] / "environments" / "reach1d"
