"""A studio on a running platform, at which random things are thrown. `make fuzz` throws more of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from services.platform import Platform
from tests.people import People, people

IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


@dataclass(frozen=True)
class Target:
    """The platform, and everybody's tokens there."""

    platform: Platform
    people: People


@pytest.fixture(scope="session")
def target(platform: Platform) -> Target:
    """Everybody comes to the platform that other tests use, too."""
    with create_app(Config.from_environment(platform.env)).app_context():
        made = people("admin")
        db.session.remove()
        db.engine.dispose()
    return Target(platform, made)


@pytest.fixture
def untroubled(target: Target) -> Iterator[Target]:
    """Whatever a test does, no program writes a traceback, none ends, and the web still answers at the end."""
    programs = ("web", "results", "recorder")
    before = {name: (target.platform.process(name).pid, len(target.platform.log(name))) for name in programs}
    yield target
    for name, (pid, length) in before.items():
        assert "Traceback" not in target.platform.log(name)[length:], target.platform.log(name)[length:][-4_000:]
        assert target.platform.process(name).pid == pid
    assert target.platform.is_ready()
