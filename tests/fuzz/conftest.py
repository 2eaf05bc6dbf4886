"""A studio on a running platform, at which random things are thrown. `make fuzz` throws more of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from services.platform import Platform
from services.proc import pids_with_parent
from tests.fuzz.tally import Tally
from tests.people import People, people

IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
PROGRAMS = ("web", "results", "recorder")
MOST_GROWTH_KB = 60_000
"""Of a program, over all that is thrown at it."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally(config, is_shown=IS_DEEP), "fuzz-tally")


@dataclass(frozen=True)
class Target:
    """The platform, and everybody's tokens there."""

    platform: Platform
    people: People
    tally: Tally


@pytest.fixture(scope="session")
def target(platform: Platform, pytestconfig: pytest.Config) -> Iterator[Target]:
    """Everybody comes to the platform that other tests use, too."""
    tally = pytestconfig.pluginmanager.get_plugin("fuzz-tally")
    assert isinstance(tally, Tally)
    with create_app(Config.from_environment(platform.env)).app_context():
        made = people("admin")
        db.session.remove()
        db.engine.dispose()
    if not IS_DEEP:  # other tests use it, too, and restart its programs
        yield Target(platform, made, tally)
        return
    before = {name: memory(processes(platform, name)) for name in PROGRAMS}
    yield Target(platform, made, tally)
    for name in PROGRAMS:
        after = memory(processes(platform, name))
        tally.measured(name, before[name], after)
        assert after - before[name] < MOST_GROWTH_KB, f"{name} has grown from {before[name]} kB to {after} kB."


def processes(platform: Platform, name: str) -> list[int]:
    """Of a program: its own and those that it has started."""
    top = platform.process(name).pid
    assert top
    return sorted([top, *pids_with_parent(top)])


def memory(pids: list[int]) -> int:
    """What they hold, kB."""
    return sum(_rss(pid) for pid in pids)


def _rss(pid: int) -> int:
    lines = dict(it.split(":", 1) for it in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0])


@pytest.fixture
def untroubled(target: Target) -> Iterator[Target]:
    """Whatever a test does, no program writes a traceback, none ends, and the web still answers at the end."""
    before = {name: (target.platform.process(name).pid, len(target.platform.log(name))) for name in PROGRAMS}
    yield target
    for name, (pid, length) in before.items():
        assert "Traceback" not in target.platform.log(name)[length:], target.platform.log(name)[length:][-4_000:]
        assert target.platform.process(name).pid == pid
    assert target.platform.is_ready()
