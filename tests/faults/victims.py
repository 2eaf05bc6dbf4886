"""Who can be hurt, where to find its process, and how it is hurt: the other two axes are in moments.py."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from node import shim
from services.platform import wait_until
from tests.faults.rig import LEASE_SECONDS, PROGRAMS, Rig
from tests.faults.witness import found

KILL, TERM, FREEZE, RESTART = "SIGKILL", "SIGTERM", "SIGSTOP+SIGCONT", "restart"
HITS = (KILL, TERM, FREEZE, RESTART)
SERVICES = ("RabbitMQ", "PostgreSQL", "S3")
TRAINING = ("shim", "trainer", "environment")
COMPONENTS = (*PROGRAMS, "node main", "pool child", *TRAINING, *SERVICES)
SUPERVISED = (*PROGRAMS, "node main", *SERVICES)
"""What somebody starts again when it has ended."""
LONG_FREEZE_SECONDS = LEASE_SECONDS + 2
"""For those who keep up a lease, and so lose it."""
FREEZE_SECONDS = 3
POOL_CHILD = "pool child"
KEEP_LEASES = ("web", POOL_CHILD, "PostgreSQL")
LOSE_SECONDS = 60
"""For a lease that nobody keeps up to end: it lasts longer where the web was too busy to beat."""
AWAY_SECONDS = 1
"""For which what has ended stays away."""
END_SECONDS = 60
"""For a program that was asked to end."""
FORK_SECONDS = 10


@dataclass(frozen=True)
class Victim:
    """One component as it is for one job at the moment of the hit."""

    rig: Rig
    component: str
    name: str
    """Of the program or service; of the node, where it is something of a node."""
    pids: list[int]
    """What is frozen; the first is what is killed."""
    run_id: str = ""
    """Of the job that is hit."""

    def open_attempts(self) -> set[tuple[Any, ...]]:
        """Of that job, by number."""
        return {*self.rig.query("SELECT number FROM attempts WHERE run_id = %s AND ended_at IS NULL", self.run_id)}


def find(rig: Rig, component: str, run_id: str) -> Victim:
    """Raises LookupError where there is no such process at the moment."""
    name = component if component in (*PROGRAMS, *SERVICES) else rig.node_of(run_id)
    pid = rig.process(name).pid
    if pid is None:
        raise LookupError(f"{name} does not run.")
    if name == component:
        return Victim(rig, component, name, [pid, *shim.descendants(pid)], run_id)
    finders: dict[str, Callable[[], int]] = {
        "node main": lambda: pid, "pool child": lambda: _pool_child(pid),
        "shim": lambda: _shim(rig, run_id), "trainer": lambda: _trainer(rig, run_id),
        "environment": lambda: _environment(rig, run_id),
    }  # fmt: skip
    return Victim(rig, component, name, [finders[component]()], run_id)


def _pool_child(main: int) -> int:
    """Each training has one of its own: when it has ended, the next one is soon there."""
    wait_until(lambda: len(_forks(main)) == 1, FORK_SECONDS, "a pool child")
    return _only(_forks(main), "pool child")


def _forks(main: int) -> list[int]:
    """Living children with the command line of the main process."""
    line, forks = psutil.Process(main).cmdline(), []
    for child in psutil.Process(main).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or gone
            forks += [child.pid] if child.cmdline() == line else []
    return forks


def _shim(rig: Rig, run_id: str) -> int:
    pidfiles = found(rig.folder, f"node-*/attempts/{run_id}.*.pid")
    return _only([int(json.loads(path.read_text())["pid"]) for path in pidfiles], "shim")


def _trainer(rig: Rig, run_id: str) -> int:
    """What the shim started first; what it has adopted came later."""
    children = psutil.Process(_shim(rig, run_id)).children()
    return _only([child.pid for child in sorted(children, key=psutil.Process.create_time)][:1], "trainer")


def _environment(rig: Rig, run_id: str) -> int:
    """ML-Agents' names its port; the stub's is a sleep."""
    below = psutil.Process(_trainer(rig, run_id)).children(recursive=True)
    return _only([it.pid for it in below if {"--mlagents-port", "sleep"} & set(it.cmdline())][:1], "environment")


def _only(pids: list[int], what: str) -> int:
    if len(pids) != 1:
        raise LookupError(f"There are {len(pids)} of these where one was expected: {what}.")
    return pids[0]


def hit(victim: Victim, how: str) -> Callable[[], None]:
    """Hurts it; what is returned makes good again what a supervisor or the machine would, and returns when it has."""
    if how == FREEZE:
        return _freeze(victim)
    if how == RESTART:
        return _restart(victim)
    number = signal.SIGKILL if how == KILL else signal.SIGTERM
    hurt = psutil.Process(victim.pids[0])
    hurt.send_signal(number)
    return lambda: _revive(victim, hurt)


def _freeze(victim: Victim) -> Callable[[], None]:
    seconds = LONG_FREEZE_SECONDS if victim.component in KEEP_LEASES else FREEZE_SECONDS
    thaw_at, held = time.monotonic() + seconds, victim.open_attempts() if victim.component == POOL_CHILD else set()
    _send(victim.pids, signal.SIGSTOP)

    def thaw() -> None:
        threading.Event().wait(max(0.0, thaw_at - time.monotonic()))
        try:
            wait_until(lambda: not (held and held & victim.open_attempts()), LOSE_SECONDS, "the end of a lost lease")
        finally:
            _send(victim.pids, signal.SIGCONT)

    return thaw


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _restart(victim: Victim) -> Callable[[], None]:
    """In order: it may take its time to end, in which the world goes on."""
    stopping = threading.Thread(target=victim.rig.process(victim.name).stop)
    stopping.start()

    def start() -> None:
        stopping.join()
        victim.rig.start(victim.name)

    return start


def _revive(victim: Victim, hurt: psutil.Process) -> None:
    if victim.component not in SUPERVISED:
        return
    threading.Event().wait(AWAY_SECONDS)
    if victim.component == "PostgreSQL" and hurt.is_running():
        hurt.send_signal(signal.SIGINT)  # to SIGTERM it waits until everybody has gone; who stops it goes on like this
    process = victim.rig.process(victim.name)
    wait_until(lambda: not process.running, END_SECONDS, f"the end of {victim.name}")
    victim.rig.start(victim.name)
