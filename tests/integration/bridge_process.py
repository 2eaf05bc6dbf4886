"""A bridge in its own process, attempts of which it knows, and whoever listens behind the broker."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu import Connection, Exchange, Queue

from node.bridge.attempts import announce
from services.platform import wait_until
from services.ports import free_ports
from tests.played_build import PlayedBuild
from wire.jobs import JobSpec
from wire.names import BRIDGE_PATH, STATE_EXCHANGE, task_id

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

    def __init__(self, bridge: Bridge, is_check: bool = False, **changes: Any) -> None:
        self.bridge, self.run_id, self.mark = bridge, str(uuid4()), uuid4().hex
        usual = {"env_id": "1", "behaviour": "RobotWave", "max_steps": 50_000, "num_of_areas": 8, "seed": 1,
                 "agent_config": "agent_config", "agent_id": "1", "steps": 50_000}  # fmt: skip
        self.folder = bridge.folder / "attempts" / task_id(self.run_id, 1)
        spec = JobSpec(self.run_id, 1, **{**usual, **changes})
        announce(self.folder, spec, self.mark, "http://central:8080", is_check=is_check)
        self.recording = self.folder / "recording"

    def build(self) -> PlayedBuild:
        return PlayedBuild(self.bridge.url, self.mark)

    def pieces(self) -> list[Path]:
        """Of the recording, finished, in the order of their episodes."""
        return sorted(self.recording.glob("*.json"))

    def episodes(self) -> list[dict[str, Any]]:
        return [episode for piece in self.pieces() for episode in json.loads(piece.read_text())["episodes"]]

    def is_closed(self) -> bool:
        return (
            bool(self.pieces()) and not any(self.recording.glob("open-*")) and not any(self.recording.glob("*.index"))
        )

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
