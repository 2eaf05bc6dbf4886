"""A pause of ours, whichever program it hits and however long it lasts, never ends the lease of a node that lives."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from services.platform import wait_until
from tests.faults.farm import Farm, farm

LEASE_SECONDS = 10
HELD = "SELECT number, ended_at IS NULL, lease_until > now() FROM attempts ORDER BY number"
COUNTED = """SELECT greatest(alive_since, %s) < now() - make_interval(secs => %s) FROM pulses WHERE service = 'web'"""
"""Whether a lease could have run out since, at the eyes of the sweeper."""


@pytest.fixture(scope="module")
def its(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """One training that would go on for hours."""
    settings = {"LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": "1"}
    with farm(tmp_path_factory.mktemp("farm"), {"lab-1": "1"}, **settings) as made:
        made.submit(1, 50_000_000)
        made.seconds_until("state <> 'RUNNING'", 60, "the training to run")
        yield made


def postgres(its: Farm, seconds: float) -> None:
    """Killed, and started again later."""
    assert its.stack.postgres
    its.stack.postgres.kill()
    time.sleep(seconds)
    its.stack.postgres.start()


def frozen_postgres(its: Farm, seconds: float) -> None:
    """Its processes stand still: nobody is told, everything waits."""
    assert its.stack.postgres
    assert its.stack.postgres.process.pid
    root = psutil.Process(its.stack.postgres.process.pid)
    freeze([root, *root.children(recursive=True)], seconds)


def program(name: str) -> Callable[[Farm, float], None]:
    """Killed, and started again later."""

    def harm(its: Farm, seconds: float) -> None:
        its.platform.process(name).kill()
        time.sleep(seconds)
        its.platform.start(name)

    return harm


def frozen(name: str) -> Callable[[Farm, float], None]:
    """It stands still, and goes on where it was."""

    def harm(its: Farm, seconds: float) -> None:
        wait_until(lambda: its.platform.process(name).pid, 30, f"{name} to have started")
        root = psutil.Process(its.platform.process(name).pid)
        freeze([root, *root.children(recursive=True)], seconds)

    return harm


def freeze(processes: list[psutil.Process], seconds: float) -> None:
    for process in processes:
        process.suspend()
    time.sleep(seconds)
    for process in processes:
        process.resume()


@pytest.mark.parametrize("seconds", [3, 7, 30])
@pytest.mark.parametrize(
    "harm",
    [postgres, frozen_postgres, program("web"), frozen("web"), program("recorder"), frozen("recorder"),
     program("results"), frozen("results")],
    ids=["PostgreSQL", "frozen PostgreSQL", "web", "frozen web", "recorder", "frozen recorder", "results",
         "frozen results"],
)  # fmt: skip
def test_no_lease_of_a_living_node_ends_because_we_were_away(its: Farm, harm: Any, seconds: float) -> None:
    harm(its, seconds)
    (since,) = its.rows("SELECT now()")
    wait_until(lambda: its.rows(COUNTED, since, LEASE_SECONDS + 3) == [True], 90, "leases to count for long enough")
    assert its.rows(HELD) == [(1, True, True)]
