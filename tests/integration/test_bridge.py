"""The bridge as its own process, over a real broker, with played builds: whose a connection is, what comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kombu import Connection, Exchange, Queue

from node.bridge.attempts import announce
from node.ports import hold_base_port
from node.trainers.base import Ending, EnvironmentBuild, Machine, TrainingOrder
from node.training import train
from services.platform import ROOT, trainer_python, wait_until
from services.ports import free_ports
from tests.played_build import PlayedBuild
from wire.jobs import JobSpec
from wire.names import BRIDGE_PATH, STATE_EXCHANGE, task_id

REACH1D = ROOT / "environments" / "reach1d"
STATE = '{"msg_id":1,"stepCount":%d}'
BEGIN = '{"msg_id":4}'
SECONDS = 30


class Bridge:
    """The process, its data folder, and the attempts that run there."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        (port,) = free_ports(1, set())
        self.folder, self.address = folder, f"127.0.0.1:{port}"
        self.url = f"ws://{self.address}{BRIDGE_PATH}"
        self.env = {**os.environ, "BROKER_URL": broker_url, "NODE_TOKEN": "none", "NODE_DATA_DIR": str(folder),
                    "BRIDGE_ADDRESS": self.address}  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "node.bridge", str(os.getpid())]
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        wait_until(self.listens, SECONDS, "the bridge listens")
        return self.process

    def listens(self) -> bool:
        host, _, port = self.address.partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        return False

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def attempt(self, **changes: Any) -> Running:
        return Running(self, **changes)


class Running:
    """An attempt of which the bridge knows."""

    def __init__(self, bridge: Bridge, **changes: Any) -> None:
        self.bridge, self.run_id, self.mark = bridge, str(uuid4()), uuid4().hex
        usual = {"env_id": "1", "behaviour": "RobotWave", "max_steps": 50_000, "num_of_areas": 8, "seed": 1,
                 "agent_config": "agent_config", "agent_id": "1", "steps": 50_000}  # fmt: skip
        self.folder = bridge.folder / "attempts" / task_id(self.run_id, 1)
        announce(self.folder, JobSpec(self.run_id, 1, **{**usual, **changes}), self.mark, "http://central:8080")

    def build(self) -> PlayedBuild:
        return PlayedBuild(self.bridge.url, self.mark)

    def pieces(self) -> list[Path]:
        """Of the recording, finished, in the order of their episodes."""
        return sorted((self.folder / "recording").glob("*.json"))

    def episodes(self) -> list[dict[str, Any]]:
        return [episode for piece in self.pieces() for episode in json.loads(piece.read_text())["episodes"]]

    def is_closed(self) -> bool:
        folder = self.folder / "recording"
        return bool(self.pieces()) and not list(folder.glob("open-*")) and not list(folder.glob("*.index"))

    def said(self) -> list[list[str]]:
        """The recorded episodes' messages, as they stand in the pieces."""
        found = []
        for piece in self.pieces():
            content = piece.with_suffix(".json-seq").read_bytes()
            for episode in json.loads(piece.read_text())["episodes"]:
                part = content[episode["start"] : episode["start"] + episode["size"]]
                found.append([record.rstrip(b"\n").decode() for record in part.split(b"\x1e")[1:]])
                assert len(found[-1]) == len(episode["times_ms"])
        return found


class Watcher:
    """What comes through the broker, as a web process gets it."""

    def __init__(self, broker_url: str) -> None:
        self.states: list[tuple[dict[str, Any], str]] = []
        self._ready, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(broker_url,))
        self._thread.start()
        assert self._ready.wait(SECONDS)

    def of(self, run_id: str) -> list[str]:
        return [content for headers, content in self.states if headers["run_id"] == run_id]

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _run(self, broker_url: str) -> None:
        with Connection(broker_url) as connection:
            exchange = Exchange(STATE_EXCHANGE, type="topic", durable=True)
            queue = Queue(uuid4().hex, exchange, routing_key="#", exclusive=True, auto_delete=True)
            with connection.Consumer(queue, on_message=self._take, no_ack=True):
                self._ready.set()
                while not self._done.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=0.1)

    def _take(self, message: Any) -> None:
        assert message.delivery_info["routing_key"] == message.headers["run_id"]
        self.states.append((message.headers, message.body))


@pytest.fixture
def bridge(tmp_path: Path, vhost: str) -> Iterator[Bridge]:
    made = Bridge(tmp_path, vhost)
    made.start()
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def watcher(vhost: str) -> Iterator[Watcher]:
    made = Watcher(vhost)
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


# ---- real trainings


def test_a_training_is_the_same_with_a_bridge_that_dies_and_without_any(
    bridge: Bridge, watcher: Watcher, tmp_path: Path
) -> None:
    running = bridge.attempt()
    with ThreadPoolExecutor() as pool:
        endings = [pool.submit(train_reach1d, tmp_path / mark, mark, bridge.url) for mark in (running.mark, "unknown")]
        wait_until(lambda: len(watcher.of(running.run_id)) > 20, 90, "states of the training")
        assert not any(ending.done() for ending in endings)
        bridge.process.kill()
    models = [it for ending in endings for it in ending.result().artifacts if it.kind == "model"]
    assert len({model.manifest["sha256"] for model in models}) == 1 < len(models)

    bridge.process.wait()
    bridge.start()  # finishes the piece that was left in the middle
    wait_until(running.is_closed, SECONDS, "the recording is finished")
    assert [text for episode in running.said() for text in episode][:20] == watcher.of(running.run_id)[:20]


def train_reach1d(folder: Path, mark: str, url: str) -> Ending:
    """A short training whose environment says each of its steps."""
    manifest = json.loads((REACH1D / "manifest.json").read_text())
    build = EnvironmentBuild(REACH1D, {**manifest, "arguments": ["--bridge-every", "step"]})
    machine = Machine(trainer_python(), {**os.environ, "TRAIN_BRIDGE_URL": url}, connect_timeout_s=30)
    with hold_base_port() as port:
        order = TrainingOrder("run-1", 1, "Reach1D", build, max_steps=4000, num_of_areas=1, seed=1, base_port=port)
        return train(order, folder, lambda _: None, threading.Event(), machine, mark=mark)
