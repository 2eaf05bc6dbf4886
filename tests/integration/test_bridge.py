"""The bridge as its own process, over a real broker, with played builds: whose a connection is, what comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from node.ports import hold_base_port
from node.shim import descendants, started
from node.trainers.base import Ending, EnvironmentBuild, Machine, TrainingOrder
from node.training import train
from services.platform import ROOT, trainer_python, wait_until
from services.stack import Stack
from tests.gate import Gate
from tests.integration.bridge_process import Bridge, Running, Watcher
from tests.played_build import PlayedBuild

REACH1D = ROOT / "environments" / "reach1d"
STATE = '{"msg_id":1,"stepCount":%d}'
BEGIN = '{"msg_id":4}'
AGAIN = '{"msg_id":4,"n":"again"}'
SECONDS = 30
KEEP = """
import threading
from node.bridge.keeper import Keeper
from node.config import Config
Keeper(Config.from_environment()).start()
threading.Event().wait(300)
"""


@pytest.fixture(scope="module")
def bridge(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """One for all tests; whoever ends it starts it again."""
    made = Bridge(tmp_path_factory.mktemp("bridge"), stack.env["BROKER_URL"])
    made.start()
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(scope="module")
def watcher(stack: Stack) -> Iterator[Watcher]:
    """Of all runs."""
    made = Watcher(stack.env["BROKER_URL"])
    yield made
    made.close()


def test_a_build_is_told_its_job_in_the_words_it_knows(bridge: Bridge) -> None:
    running = bridge.attempt()
    with running.build() as build:
        config = json.loads(build.heard()["text"])
        assert config.pop("msg_id") == "3"
        job = config.pop("train_job")
        assert not config
        assert len(job.pop("centra_node_id")) == 36
        assert job == {
            "central_node_url": "central:8080", "run_id": running.run_id, "job_type": "CREATE",
            "nn_model_config": {"behavior_name": "RobotWave", "steps": 50_000}, "agent_config": "agent_config",
            "env_config": {"agent_id": "1", "env_id": "1", "num_of_areas": 8},
        }  # fmt: skip


def test_what_builds_say_goes_out_in_order_and_never_to_another_job(bridge: Bridge, watcher: Watcher) -> None:
    one, other = bridge.attempt(), bridge.attempt()
    with one.build().start() as first, other.build().start() as second, one.build().start() as third:
        for build in (first, second, third):
            build.do("send", BEGIN).do("send", STATE, 300)
        wait_until(lambda: len(watcher.states) >= 903, SECONDS, "all states at the watcher")
    steps = [BEGIN, *(STATE % n for n in range(300))]
    assert watcher.of(other.run_id) == steps
    for instance in (0, 1):
        its = {"run_id": one.run_id, "attempt": 1, "instance": instance}
        assert [content for headers, content in watcher.states if headers == its] == steps
    wait_until(one.is_closed, SECONDS, "both recordings are finished")
    assert one.said() == [steps, steps]
    assert {episode["instance"] for episode in one.episodes()} == {0, 1}


# ---- bad builds: none of them harms another


def test_a_program_of_no_training_is_sent_away(bridge: Bridge) -> None:
    for mark in (None, "the mark of another node's training"):
        with PlayedBuild(bridge.url, mark) as stranger:
            assert stranger.heard() == {
                "code": 1008, "reason": "This bridge is for the environments of this node's trainings.",
            }  # fmt: skip


def test_another_path_is_not_the_bridge(bridge: Bridge) -> None:
    with PlayedBuild(bridge.url.replace("train-instance", "client"), bridge.attempt().mark) as build:
        assert "404" in build.heard()["error"]


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        (("big", 100_000_000), 1009, "8388608 bytes"),
        (("bytes", 10), 1003, "Binary messages are not for this bridge: send JSON as text."),
        (("raw", "\x81\x02\xff\xff"), 1002, ""),  # a frame that is not masked
    ],
)
def test_a_build_that_breaks_the_rules_is_cut_off_and_harms_nobody(
    bridge: Bridge, watcher: Watcher, command: tuple[str, Any], code: int, reason: str
) -> None:
    good, bad = bridge.attempt(), bridge.attempt()
    with good.build().start() as well, bad.build().start() as ill:
        assert well.do("send", BEGIN).heard() == {"done": "send"}
        ill.do(*command)
        said = ill.farewell()
        assert said["code"] == code
        assert reason in said["reason"]
        assert well.do("send", STATE, 10).heard() == {"done": "send"}
        wait_until(lambda: len(watcher.of(good.run_id)) == 11, SECONDS, "the other's states")
    assert resident_mb(bridge.process.pid) < 200
    assert not watcher.of(bad.run_id)


def test_nonsense_is_left_out_and_the_rest_goes_on(bridge: Bridge, watcher: Watcher) -> None:
    running = bridge.attempt()
    with running.build().start() as build:
        for text in ("nonsense", "[1]", '{"msg_id":2,"status":"SUCCEEDED"}', '{"msg_id":1,"x":NaN}', STATE % 1):
            build.do("send", text)
        wait_until(lambda: watcher.of(running.run_id), SECONDS, "the one good message")
    wait_until(running.is_closed, SECONDS, "the recording is finished")
    assert watcher.of(running.run_id) == [STATE % 1]
    assert running.said() == [[STATE % 1]]
    assert f"Environment 0 of run {running.run_id} has sent a message that is not relayed (number 1)" in bridge.log()


def test_what_is_no_websocket_does_not_stop_the_bridge(bridge: Bridge) -> None:
    host, _, port = bridge.address.partition(":")
    for content in (b"", b"\0" * 100_000, b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 10) as line:
            line.sendall(content)
            line.shutdown(socket.SHUT_WR)
            line.recv(1)
    with bridge.attempt().build() as build:
        assert "train_job" in build.heard()["text"]
    assert "Traceback" not in bridge.log()


def test_what_a_tried_build_says_is_for_nobody(bridge: Bridge, watcher: Watcher) -> None:
    tried, running = bridge.attempt(is_check=True), bridge.attempt()
    with tried.build().start() as first, running.build().start() as second:
        assert first.do("send", BEGIN).heard() == {"done": "send"}
        first.do("close").farewell()
        second.do("send", BEGIN)
        wait_until(lambda: watcher.of(running.run_id), SECONDS, "the other's state")
    assert not watcher.of(tried.run_id)
    assert not tried.pieces()


# ---- outages


def test_while_the_broker_is_away_states_are_recorded_all_the_same(stack: Stack, tmp_path: Path) -> None:
    url = stack.env["BROKER_URL"]
    gate = Gate(int(urlsplit(url).port or 0))
    bridge, watcher = Bridge(tmp_path, gate.url(url)), Watcher(url)
    running = bridge.attempt()
    bridge.start()
    try:
        with running.build().start() as build:
            gate.shut()
            assert build.do("send", STATE, 50).heard() == {"done": "send"}
            wait_until(lambda: "States of builds can't be sent" in bridge.log(), SECONDS, "the bridge misses it")
            gate.open()
            wait_until(lambda: says_until_heard(build, watcher, running), SECONDS, "states come through again")
        wait_until(running.is_closed, SECONDS, "the recording is finished")
    finally:
        gate.shut()
        watcher.close()
        bridge.process.kill()
        bridge.process.wait()
    recorded = [text for episode in running.said() for text in episode]
    assert recorded[:50] == [STATE % n for n in range(50)]
    assert set(watcher.of(running.run_id)) <= set(recorded)


def says_until_heard(build: PlayedBuild, watcher: Watcher, running: Running) -> bool:
    build.do("send", AGAIN)
    return AGAIN in watcher.of(running.run_id)


def test_a_bridge_that_dies_is_started_again_and_ends_with_its_node(stack: Stack, tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, stack.env["BROKER_URL"])
    running = bridge.attempt()
    node = subprocess.Popen([sys.executable, "-c", KEEP], env=bridge.env)
    try:
        wait_until(bridge.listens, SECONDS, "the bridge listens")
        with running.build().start() as build:
            assert build.do("send", BEGIN).heard() == {"done": "send"}
            (first,) = descendants(node.pid)
            wait_until(lambda: list(running.recording.glob("*.index")), SECONDS, "it is being recorded")
            os.kill(first, signal.SIGKILL)
            build.farewell()
        wait_until(lambda: [pid for pid in descendants(node.pid) if pid != first], SECONDS, "another bridge")
        wait_until(bridge.listens, SECONDS, "it listens")
        with running.build().start() as build:
            assert build.do("send", BEGIN).heard() == {"done": "send"}
            (second,) = descendants(node.pid)
        wait_until(lambda: len(running.episodes()) == 2, SECONDS, "both recordings are finished")
        assert [episode["number"] for episode in running.episodes()] == [1, 2]
    finally:
        node.kill()
        node.wait()
    wait_until(lambda: not started(second), SECONDS, "the bridge has ended with its node")


def test_a_second_node_waits_for_the_address(bridge: Bridge, stack: Stack, tmp_path: Path) -> None:
    other = Bridge(tmp_path, stack.env["BROKER_URL"])
    other.address = other.env["BRIDGE_ADDRESS"] = bridge.address
    other.start()
    try:
        wait_until(lambda: "Give each its own BRIDGE_ADDRESS" in other.log(), SECONDS, "it says what is wrong")
        bridge.process.terminate()
        assert bridge.process.wait(SECONDS) == 0
        wait_until(lambda: "Environments may connect" in other.log(), SECONDS, "it takes the address over")
    finally:
        other.process.kill()
        other.process.wait()
        bridge.start()


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# ---- real trainings


def test_a_training_is_the_same_with_a_bridge_that_dies_and_without_any(
    bridge: Bridge, watcher: Watcher, tmp_path: Path
) -> None:
    running = bridge.attempt()
    with ThreadPoolExecutor() as pool:
        endings = [
            pool.submit(train_reach1d, tmp_path / "with", running.mark, bridge.url, "--needs-bridge"),
            pool.submit(train_reach1d, tmp_path / "without", "unknown", bridge.url),
        ]
        wait_until(lambda: len(watcher.of(running.run_id)) > 20, 90, "states of the training")
        assert not any(ending.done() for ending in endings)
        bridge.process.kill()
    models = [it for ending in endings for it in ending.result().artifacts if it.kind == "model"]
    assert len({model.manifest["sha256"] for model in models}) == 1 < len(models)

    bridge.process.wait()
    bridge.start()  # finishes the piece that was left in the middle
    wait_until(running.is_closed, SECONDS, "the recording is finished")
    assert [text for episode in running.said() for text in episode][:20] == watcher.of(running.run_id)[:20]


def train_reach1d(folder: Path, mark: str, url: str, *arguments: str) -> Ending:
    """A short training whose environment says each of its steps."""
    manifest = json.loads((REACH1D / "manifest.json").read_text())
    build = EnvironmentBuild(REACH1D, {**manifest, "arguments": ["--bridge-every", "step", *arguments]})
    machine = Machine(trainer_python(), {**os.environ, "TRAIN_BRIDGE_URL": url}, connect_timeout_s=30)
    with hold_base_port() as port:
        order = TrainingOrder("run-1", 1, "Reach1D", build, max_steps=2000, num_of_areas=1, seed=1, base_port=port)
        return train(order, folder, lambda _: None, threading.Event(), machine, mark=mark)
