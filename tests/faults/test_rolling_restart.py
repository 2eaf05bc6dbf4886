"""An upgrade: every program is restarted, one after another, while 20 trainings run. None is lost, none is counted."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.platform import wait_until
from services.stack import Stack
from tests.stub_platform import StubPlatform

NODES, SLOTS, SECONDS = ("east", "west"), 10, 240


@pytest.fixture
def platform(stack: Stack, tmp_path: Path) -> Iterator[StubPlatform]:
    """Two nodes with ten slots each."""
    with StubPlatform(stack, tmp_path / "platform", {"NODE_SLOTS": str(SLOTS), "NODE_MEMORY_MB": "100"}) as running:
        running.start("web", "results", "recorder")
        for name in NODES:
            running.add_node(name)
            running.start(name)
        wait_until(lambda: all(node["last_seen_at"] for node in running.nodes().values() if node["name"] in NODES), 60,
                   "both nodes")  # fmt: skip
        yield running


def test_a_rolling_restart_with_20_trainings_loses_none(platform: StubPlatform) -> None:
    jobs = [platform.submit(40) for _ in range(len(NODES) * SLOTS)]
    platform.until_trained(*jobs)
    for name in ("web", "results", "recorder"):
        platform.process(name).stop()
        platform.start(name)
    for name in NODES:
        began = time.monotonic()
        platform.tell_to_end(name)
        assert platform.exit_code(name, 90) == 0
        print(f"Node {name} has handed over after {time.monotonic() - began:.1f} s.")
        platform.start(name)
        wait_until(lambda its=name: platform.nodes()[its]["drain"] is None, 60, "the node to be back")
    platform.until("SUCCEEDED", *jobs, seconds=SECONDS)
    for run_id in jobs:
        *before, last = platform.kinds(run_id)
        assert (set(before) <= {"drained"}, last) == (True, "succeeded")
        models = [file for file in platform.call("GET", f"/train-jobs/{run_id}/files") if file["kind"] == "model"]
        assert len([file for file in models if file["attempt"] == len(before) + 1]) == 1
    assert [run_id for run_id in jobs if len(platform.kinds(run_id)) > 1], "No training was handed over."
