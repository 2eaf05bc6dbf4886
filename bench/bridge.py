"""From a build's socket to a viewer's, beside the same way without the web; and what the recorder has to do with it.

Floor: the same builds and the same bridge, but a bare consumer at the topic exchange instead of web and viewers.
"""

import json
import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import requests
import websocket
from kombu import Connection, Exchange, Queue

from bench.live import PER_SECOND, run_together, start_node
from bench.live import SECONDS as LIVE_SECONDS
from bench.measure import ROUNDS, SWITCH_SECONDS, progress
from bench.submit import JOB
from node.bridge.attempts import announce
from node.shim import MARK, descendants
from services.platform import ROOT, Platform, wait_until
from services.ports import free_ports
from services.stack import Stack
from wire.jobs import JobSpec
from wire.names import BRIDGE_PATH, STATE_EXCHANGE, task_id

SECONDS = 4
EACH = ((1, 50.0), (20, 50.0), (50, 50.0), (20, 2.5), (50, 1.0))
"""Jobs, and messages a second of each."""
FACTS = 4 * PER_SECOND * LIVE_SECONDS
TICK = os.sysconf("SC_CLK_TCK")


def bench(stack: Stack, platform: Platform) -> None:
    """Prints p50 and p99 for each number of jobs (medians of the rounds), and processor time per 1,000 messages."""
    sys.setswitchinterval(SWITCH_SECONDS)
    print("state from the build's socket to the viewer's (floor: to a bare consumer behind the broker)")
    recorder = platform.process("recorder").pid
    idle = measure_idle(recorder)
    with running_bridge(stack) as bridge:
        for jobs, per_second in EACH:
            floors, ours, used = [], [], 0.0
            for number in range(ROUNDS):
                progress(f"bridge: {jobs} jobs, {per_second:g}/s each, round {number + 1} of {ROUNDS}")
                floor = Round(bridge, [str(uuid4()) for _ in range(jobs)], per_second)
                floors.append(floor.run(Consumer(stack, floor.total)))
                mine = Round(bridge, [submit(platform) for _ in range(jobs)], per_second)
                before = cpu_seconds(recorder)
                ours.append(mine.run(Viewers(platform, mine.run_ids, mine.total)))
                used += cpu_seconds(recorder) - before
            progress("")
            show(f"{jobs} jobs x {per_second:g}/s", floors, ours)
            seconds, states = sum(its.seconds for its in ours), sum(its.total for its in ours)
            print(f"    recorder: {used / seconds * 1000:.1f} ms of processor time a second ({idle:.1f} when idle), "
                  f"{used / states * 1e6:.0f} ms per 1,000 states; "
                  f"bridge: {sum(its.bridge_seconds for its in ours) / states * 1e6:.0f} ms")  # fmt: skip
    print(
        f"  recorder: {facts_cost(platform, recorder):.0f} ms of processor time per 1,000 facts, which it does store\n"
    )


def show(name: str, floors: list["Round"], ours: list["Round"]) -> None:
    for title, rounds in (("floor", floors), (name, ours)):
        p50, p99 = (statistics.median(quantile(its.times, part) for its in rounds) for part in (0.5, 0.99))
        came, sent = (sum(count) for count in zip(*((len(its.times), its.total) for its in rounds), strict=True))
        print(f"  {title:<34} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   ({came} of {sent} states)")


def measure_idle(recorder: int | None) -> float:
    """Milliseconds of processor time a second when there is nothing to do."""
    before = cpu_seconds(recorder)
    time.sleep(SECONDS)
    return (cpu_seconds(recorder) - before) / SECONDS * 1000


def facts_cost(platform: Platform, recorder: int | None) -> float:
    """Milliseconds of processor time for 1,000 metrics."""
    before = cpu_seconds(recorder)
    run_together([start_node(platform, [submit(platform) for _ in range(4)])])
    return (cpu_seconds(recorder) - before) * 1e6 / FACTS


def quantile(times: list[float], part: float) -> float:
    return sorted(times)[int(len(times) * part)] * 1000 if times else float("nan")


def cpu_seconds(pid: int | None) -> float:
    """Of the process and all below it."""
    assert pid
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in (pid, *descendants(pid))]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICK


def submit(platform: Platform) -> str:
    headers = {"Authorization": f"Bearer {platform.token}"}
    answer = requests.post(platform.url + "/api/v1/train-jobs", json=JOB, headers=headers, timeout=10)
    return str(answer.json()["run_id"])


class RunningBridge:
    """The bridge of a node, and the folder of its attempts."""

    def __init__(self, folder: Path, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.folder, self.port, self.process = folder, port, process

    def start_build(self, run_id: str, per_second: float, later: float) -> "subprocess.Popen[str]":
        mark = uuid4().hex
        spec = JobSpec(run_id, 1, "1", "B", 1, 1, 1, "agent_config")
        announce(self.folder / "attempts" / task_id(run_id, 1), spec, mark, "http://central")
        words = ["127.0.0.1", str(self.port), BRIDGE_PATH, str(per_second), str(SECONDS), str(later)]
        return subprocess.Popen([sys.executable, "-I", "-S", "bench/build.py", *words], env={MARK: mark}, cwd=ROOT,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip


@contextmanager
def running_bridge(stack: Stack) -> Iterator[RunningBridge]:
    (port,) = free_ports(1, set())
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BROKER_URL": stack.env["BROKER_URL"], "NODE_TOKEN": "none", "NODE_DATA_DIR": folder,
               "BRIDGE_ADDRESS": f"127.0.0.1:{port}"}  # fmt: skip
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([sys.executable, "-m", "node.bridge"], env=env, stderr=output, cwd=ROOT)
        wait_until(lambda: "may connect" in log.read_text(), 30, "the bridge listens")
        yield RunningBridge(Path(folder), port, process)
        process.terminate()
        process.wait(10)


class Round:
    """So many builds that send for a while."""

    def __init__(self, bridge: RunningBridge, run_ids: list[str], per_second: float) -> None:
        self.run_ids, self._bridge, self._per_second = run_ids, bridge, per_second
        self.total = round(per_second * SECONDS) * len(run_ids)
        self.times: list[float] = []
        self.seconds = self.bridge_seconds = 0.0

    def run(self, receiver: "Receiver") -> "Round":
        """The receiver is ready; the builds begin one after the other within the time of one message of each."""
        step = 1 / self._per_second / len(self.run_ids)
        builds = [self._bridge.start_build(run_id, self._per_second, number * step)
                  for number, run_id in enumerate(self.run_ids)]  # fmt: skip
        for build in builds:
            assert build.stdout
            build.stdout.readline()
        began, before = time.monotonic(), cpu_seconds(self._bridge.process.pid)
        for build in builds:
            assert build.stdin
            build.stdin.write("go\n")
            build.stdin.flush()
        self.times = receiver.finish(SECONDS + 20)
        self.seconds = time.monotonic() - began
        self.bridge_seconds = cpu_seconds(self._bridge.process.pid) - before
        for build in builds:
            build.communicate()
        return self


class Receiver:
    """Reads in a thread until all is there."""

    def __init__(self, total: int, read: Callable[[], None]) -> None:
        self.times: list[float] = []
        self._total, self._read = total, read
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def take(self, content: str | bytes) -> None:
        message = json.loads(content)
        if "at" in message:
            self.times.append(time.perf_counter() - message["at"])

    def finish(self, seconds: float) -> list[float]:
        self._thread.join(seconds)
        self._given_up.set()
        self._thread.join()
        return self.times

    def _run(self) -> None:
        while len(self.times) < self._total and not self._given_up.is_set():
            self._read()


class Consumer(Receiver):
    """Bare, at the exchange."""

    def __init__(self, stack: Stack, total: int) -> None:
        self._connection = Connection(stack.env["BROKER_URL"])
        exchange = Exchange(STATE_EXCHANGE, type="topic", durable=True)
        queue = Queue(uuid4().hex, exchange, routing_key="#", exclusive=True, auto_delete=True)
        consumer = self._connection.Consumer(queue, on_message=lambda message: self.take(message.body), no_ack=True)
        consumer.consume()
        super().__init__(total, self._drain)

    def _drain(self) -> None:
        try:
            self._connection.drain_events(timeout=1)
        except TimeoutError:
            return

    def finish(self, seconds: float) -> list[float]:
        times = super().finish(seconds)
        self._connection.release()
        return times


class Viewers(Receiver):
    """One for each job, all read in one thread: threads of Python's would measure each other."""

    def __init__(self, platform: Platform, run_ids: list[str], total: int) -> None:
        self._selector = selectors.DefaultSelector()
        header = [f"Authorization: Bearer {platform.token}"]
        for run_id in run_ids:
            viewer = websocket.create_connection(platform.socket_url, header=header, timeout=30)
            viewer.send(json.dumps({"run_id": run_id}))
            viewer.recv()  # its STATUS: from now on it is subscribed
            assert viewer.sock
            viewer.sock.setblocking(False)
            self._selector.register(viewer.sock, selectors.EVENT_READ, (viewer, bytearray()))
        time.sleep(1)  # until the web's bindings are made
        super().__init__(total, self._look)

    def _look(self) -> None:
        for key, _ in self._selector.select(1):
            viewer, waiting = key.data
            waiting += viewer.sock.recv(262_144)
            for content in frames(waiting):
                self.take(content)

    def finish(self, seconds: float) -> list[float]:
        times = super().finish(seconds)
        for key in list(self._selector.get_map().values()):
            key.data[0].shutdown()
        return times


def frames(waiting: bytearray) -> Iterator[bytes]:
    """Takes the complete frames off what has come: whole texts of up to 64 kB."""
    while len(waiting) >= 4:
        size, start = (waiting[1], 2) if waiting[1] < 126 else (int.from_bytes(waiting[2:4], "big"), 4)
        if len(waiting) < start + size:
            return
        content, is_text = bytes(waiting[start : start + size]), waiting[0] & 15 == 1
        del waiting[: start + size]
        if is_text:
            yield content
