"""From an event on a node to the frame at a game, 20 jobs of 50 events a second, beside a bare fanout.

Floor: a producer, a RabbitMQ fanout, and a flask-sock server that sends what comes to its clients; nothing is stored.
The project stores every event (PostgreSQL, committed) before it is told.
"""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import requests
import websocket
from kombu import Connection, Exchange, Queue

from bench.measure import ROUNDS, progress
from bench.submit import JOB
from node.central import Central
from node.config import Config as NodeConfig
from node.report import EventSender, Reporter, Spool
from node.worker import create_worker
from services.platform import Platform
from services.stack import Stack

JOBS, PER_SECOND, SECONDS = 20, 50, 6
METRIC = {"kind": "metrics", "behaviour": "Reach1D", "mean_reward": 0.5, "std_reward": 0.1}


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
        _paced(lambda: producer.publish({"at": time.perf_counter()}, delivery_mode=1), total, 1 / (JOBS * PER_SECOND))
    consumer.join(20)
    return times


def _node_to_game(platform: Platform) -> list[float]:
    config = NodeConfig(
        broker_url=platform.env["BROKER_URL"], coordinator_url=platform.url, node_token=platform.node_token
    )
    celery, central, times = create_worker(config), Central(platform.url, platform.node_token), []
    with tempfile.TemporaryDirectory() as folder:
        jobs = [_Job(platform, central, celery, Path(folder), times) for _ in range(JOBS)]
        for job in jobs:
            job.connected.wait(10)
        _paced(lambda: jobs[next(turn) % JOBS].say(), JOBS * PER_SECOND * SECONDS, 1 / (JOBS * PER_SECOND))
        for job in jobs:
            job.end()
    return times


turn = iter(range(10**9))


class _Job:
    """One job as its node and its game see it. The moment an event was made travels in its `time_elapsed`."""

    def __init__(self, platform: Platform, central: Central, celery: object, folder: Path, times: list[float]) -> None:
        self.headers = {"Authorization": f"Bearer {platform.token}"}
        self.url = platform.url + "/api/v1/train-jobs"
        self.run_id = requests.post(self.url, json=JOB, headers=self.headers, timeout=10).json()["run_id"]
        central.claim(self.run_id, 1, UUID(int=uuid4().int))
        self.sender = EventSender(celery, self.run_id, 1)  # type: ignore[arg-type]
        self.reporter = Reporter(Spool(folder / self.run_id), self.sender)
        self.times, self.step, self.connected = times, 0, threading.Event()
        self.socket = websocket.create_connection(platform.socket_url, header=self.headers, timeout=15)
        self.socket.send(json.dumps({"run_id": self.run_id}))
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def say(self) -> None:
        self.step += 1
        self.reporter.say(METRIC | {"step": self.step, "time_elapsed": time.perf_counter(), "statistics": {}})

    def _read(self) -> None:
        seen = 0
        while seen < PER_SECOND * SECONDS:
            message = json.loads(self.socket.recv())
            self.connected.set()
            if message["msg_id"] == 0:
                seen += 1
                self.times.append(time.perf_counter() - message["time_elapsed"])

    def end(self) -> None:
        """Everything has come; the job is cleared away."""
        self.thread.join(30)
        self.reporter.finish(5)
        self.sender.close()
        self.socket.close()


def _paced(work: Callable[[], None], times: int, interval: float) -> None:
    """Repeats the work on a fixed timetable: what is late is not forgiven."""
    due = time.perf_counter()
    for _ in range(times):
        due += interval
        time.sleep(max(0.0, due - time.perf_counter()))
        work()
