"""The whole platform in a corner of real services, started by the Procfile's commands, with a real training node."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform import ROOT, Platform
from services.stack import Stack
from tests.corners import corner
from tests.overhearing import Overhearing


@pytest.fixture(scope="module")
def own_corner(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Of the services, for a module's own platform: its nodes share no queue with others."""
    with corner(stack, tmp_path_factory.mktemp("corner")) as made:
        yield made


@pytest.fixture(scope="package")
def shared_corner(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Of the services, for the platform that all tests share which harm nobody."""
    with corner(stack, tmp_path_factory.mktemp("corner")) as made:
        yield made


@pytest.fixture(scope="package")
def overheard(shared_corner: Stack) -> Iterator[Overhearing]:
    """All that is said over that platform's broker: what the document of messages does not tell of fails a test."""
    with Overhearing(shared_corner.env["BROKER_URL"]) as made:
        yield made


@pytest.fixture(scope="package")
def platform(
    shared_corner: Stack, overheard: Overhearing, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Everything but Flower; six slots; old games without a token are served. It ends with the last of these tests."""
    settings = {
        "SERVE_GAMES_WITHOUT_TOKEN": "1", "NODE_SLOTS": "6",
        "ENVIRONMENTS_DIR": str(environments(tmp_path_factory.mktemp("environments"))),
    }  # fmt: skip
    with Platform(shared_corner, tmp_path_factory.mktemp("platform"), settings) as running:
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
