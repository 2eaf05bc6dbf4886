"""The whole platform over real services of its own, started by the Procfile's commands, with a real training node."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.platform import ROOT, Platform
from services.stack import Stack
from tests.brokers import broker_of_tests
from tests.overhearing import Overhearing


@contextmanager
def services(folder: Path) -> Iterator[Stack]:
    """Started, and gone without a trace at the end."""
    with broker_of_tests() as environ:
        running = Stack(folder, environ=environ)
        running.start()
        yield running
        running.kill()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Services of the platform that all tests share which harm nobody."""
    with services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Services for a module's own platform: its tests may kill them, and its nodes share no queue with others."""
    with services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="session")
def overheard(stack: Stack) -> Iterator[Overhearing]:
    """All that is said over that platform's broker: what the document of messages does not tell of fails a test."""
    with Overhearing(stack.env["BROKER_URL"]) as made:
        yield made


@pytest.fixture(scope="session")
def platform(stack: Stack, overheard: Overhearing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Everything but Flower; six slots; old games without a token are served."""
    settings = {
        "SERVE_GAMES_WITHOUT_TOKEN": "1", "NODE_SLOTS": "6",
        "ENVIRONMENTS_DIR": str(environments(tmp_path_factory.mktemp("environments"))),
    }  # fmt: skip
    with Platform(stack, tmp_path_factory.mktemp("platform"), settings) as running:
        running.start("web", "results", "recorder", "node")
        yield running


def environments(folder: Path) -> Path:
    """Those of every installation, and one that says something over the bridge at every step."""
    shutil.copytree(ROOT / "environments", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(folder / "reach1d", folder / "talkative")
    manifest = folder / "talkative" / "manifest.json"
    its = json.loads(manifest.read_text()) | {"env_id": "talkative", "arguments": ["--bridge-every", "step"]}
    manifest.write_text(json.dumps(its))
    return folder


@pytest.fixture(scope="session")
def reach1d() -> Path:
    """The reference environment's folder."""
    return ROOT / "environments" / "reach1d"
