"""From an event on a node to the frame at a game, 20 jobs of 50 events a second, beside a bare fanout.

Floor: a producer, a RabbitMQ fanout, and a flask-sock server that sends what comes to its clients; nothing is stored.
The project stores every event (PostgreSQL, committed) before it is told.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from uuid import uuid4

import requests
import websocket
from kombu import Connection, Exchange, Queue

from bench.measure import ROUNDS, SWITCH_SECONDS, paced, progress
from bench.submit import JOB
from coordinator.recorder import WINDOW_SECONDS
from node.report import GATHER_SECONDS
from services.platform import Platform
from services.stack import Stack

JOBS, PER_SECOND, SECONDS = 20, 50, 6
NODES = 4


def bench(stack: Stack, platform: Platform) -> None:
    """Prints p50 and p99 of the bare fanout hop and of the whole way."""
    hops, ours = [], []
    for number in range(ROUNDS):
        progress(f"live, round {number + 1} of {ROUNDS}: bare fanout")
        hops.append(_fanout_hop(stack))
        progress(f"live, round {number + 1} of {ROUNDS}: node to game")
        ours.append(_node_to_game(platform))
    progress("")
    print(f"event on the node to frame at the game, {JOBS} jobs x {PER_SECOND}/s, all stored")
    _show("floor: bare fanout hop", hops)
    _show("node to game", ours)
    windows = (GATHER_SECONDS + WINDOW_SECONDS) * 1000
    print(f"  in it: facts that come fast wait up to {windows:.0f} ms to be sent and stored together")
    for part in (0.5, 0.99):
        ratios = [_quantile(mine, part) / _quantile(hop, part) for mine, hop in zip(ours, hops, strict=True)]
        print(f"  p{part * 100:.0f} / hop   {statistics.median(ratios):6.1f} ({min(ratios):.1f}..{max(ratios):.1f})")
    print()


def _quantile(times: list[float], part: float) -> float:
    return sorted(times)[int(len(times) * part)] * 1000


def _show(name: str, rounds: list[list[float]]) -> None:
    p50, p99 = (statistics.median(_quantile(times, part) for times in rounds) for part in (0.5, 0.99))
    print(f"  {name:<34} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   ({len(rounds[0])} events)")


def _fanout_hop(stack: Stack) -> list[float]:
    exchange, times, ready = Exchange("bench.hop", type="fanout", durable=False), [], threading.Event()
    total = JOBS * PER_SECOND * SECONDS

    def consume() -> None:
        with Connection(stack.env["BROKER_URL"]) as connection:
            queue = Queue(f"bench.{uuid4().hex}", exchange, exclusive=True, auto_delete=True)
            with connection.Consumer(
                queue, on_message=lambda m: times.append(time.perf_counter() - json.loads(m.body)["at"]), no_ack=True
            ):
                ready.set()
                while len(times) < total:
                    connection.drain_events(timeout=10)

    consumer = threading.Thread(target=consume)
    consumer.start()
    ready.wait(10)
    with Connection(stack.env["BROKER_URL"]) as connection:
        producer = connection.Producer(exchange=exchange)
        paced(lambda: producer.publish({"at": time.perf_counter()}, delivery_mode=1), total, 1 / (JOBS * PER_SECOND))
    consumer.join(20)
    return times


def _node_to_game(platform: Platform) -> list[float]:
    times: list[float] = []
    sys.setswitchinterval(SWITCH_SECONDS)
    jobs = [_Game(platform, times) for _ in range(JOBS)]
    for job in jobs:
        job.connected.wait(10)
    nodes = [start_node(platform, [job.run_id for job in jobs[number::NODES]]) for number in range(NODES)]
    run_together(nodes)
    for job in jobs:
        job.thread.join(30)
        job.socket.close()
    return times


def start_node(platform: Platform, run_ids: list[str]) -> "subprocess.Popen[str]":
    """A node that reports for these jobs once it is told to."""
    plan = {
        "broker_url": platform.node_broker_url, "url": platform.url, "token": platform.node_token,
        "run_ids": run_ids, "per_second": PER_SECOND, "seconds": SECONDS,
    }  # fmt: skip
    command = [sys.executable, "-m", "bench.node"]
    pipe = subprocess.PIPE
    node = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, stderr=subprocess.DEVNULL)
    assert node.stdin
    node.stdin.write(json.dumps(plan) + "\n")
    node.stdin.flush()
    return node


def run_together(nodes: list["subprocess.Popen[str]"]) -> None:
    """All nodes begin when the last one is ready."""
    for node in nodes:
        assert node.stdout
        node.stdout.readline()
    for node in nodes:
        assert node.stdin
        node.stdin.write("go\n")
        node.stdin.close()
    for node in nodes:
        if node.wait(120) != 0:
            raise AssertionError("The node of the benchmark failed.")


class _Game:
    """Submits one job and reads its socket. The moment an event was made travels in its `time_elapsed`."""

    def __init__(self, platform: Platform, times: list[float]) -> None:
        headers = {"Authorization": f"Bearer {platform.token}"}
        answer = requests.post(platform.url + "/api/v1/train-jobs", json=JOB, headers=headers, timeout=10)
        self.run_id = answer.json()["run_id"]
        self.times, self.connected = times, threading.Event()
        self.socket = websocket.create_connection(platform.socket_url, header=headers, timeout=30)
        self.socket.send(json.dumps({"run_id": self.run_id}))
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        seen = 0
        while seen < PER_SECOND * SECONDS:
            message = json.loads(self.socket.recv())
            self.connected.set()
            if message["msg_id"] == 0:
                seen += 1
                self.times.append(time.perf_counter() - message["time_elapsed"])
