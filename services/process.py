"""One program of a service under its guard: start, stop, kill, wait until ready, and clear an earlier run's remains."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import ServiceError, log_tail
from services.proc import is_alive

ROOT = str(Path(__file__).resolve().parent.parent)
GUARD = "import sys; sys.path.insert(0, sys.argv.pop(1)); from services.guard import main; sys.exit(main())"
LOOK_SECONDS = 0.05
KILL_SECONDS = 10.0


@dataclass
class Process:
    """A program that runs under `guard.py`; its output goes to `log`, its whereabouts to `pidfile`."""

    name: str
    log: Path
    pidfile: Path
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 15.0
    guard: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether the program runs (its guard ends with it)."""
        return self.guard is not None and self.guard.poll() is None

    @property
    def pid(self) -> int | None:
        """The program's own pid, for tests that hurt it."""
        known = read_pidfile(self.pidfile)
        return int(known["program"][0]) if known else None

    def start(self, command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> None:
        """Start it unless it runs; the remains of an earlier run are stopped first."""
        if self.running:
            return
        self.clear_leftover()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.pidfile.parent.mkdir(parents=True, exist_ok=True)
        guard = [sys.executable, "-I", "-S", "-c", GUARD, ROOT, "--parent", str(os.getpid())]
        guard += [
            "--pidfile",
            str(self.pidfile),
            "--stop-signal",
            str(int(self.stop_signal)),
            "--grace",
            str(self.grace),
            "--",
        ]
        with self.log.open("ab") as log:
            self.guard = subprocess.Popen(
                [*guard, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns when `ready()` holds; raises with the log's tail when the program ends first or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ServiceError(
                    f"{self.name} ended while it was starting. Its log, {self.log}, ends with:\n{self.tail}"
                )
            if time.monotonic() > deadline:
                tail = self.tail
                self.kill()
                raise ServiceError(
                    f"{self.name} was not ready after {seconds:.0f} seconds. Its log, {self.log}, ends with:\n{tail}"
                )
            time.sleep(LOOK_SECONDS)

    @property
    def tail(self) -> str:
        """The log's last lines."""
        return log_tail(self.log)

    def stop(self) -> None:
        """Ask it to end, wait; the guard kills what does not end within the grace time."""
        self._end(signal.SIGTERM, self.grace + KILL_SECONDS)

    def kill(self) -> None:
        """SIGKILL for the program and all it started."""
        self._end(signal.SIGQUIT, KILL_SECONDS)

    def _end(self, wish: signal.Signals, seconds: float) -> None:
        if self.guard is None:
            return
        self.guard.send_signal(wish)
        try:
            self.guard.wait(seconds)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()
            self.clear_leftover()
        self.guard = None

    def clear_leftover(self) -> None:
        """End what an earlier run left in this data folder, recognised by pid and start time."""
        for known in read_pidfile(self.pidfile).values():
            end_leftover(known, self.grace)
        self.pidfile.unlink(missing_ok=True)


def read_pidfile(path: Path) -> dict[str, list[str]]:
    """{"guard": identity, "program": identity}, or nothing."""
    try:
        found: dict[str, list[str]] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def end_leftover(known: list[str], grace: float) -> None:
    """SIGTERM, then SIGKILL, for exactly the process of that identity."""
    for wish, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            if is_alive(known):
                os.kill(int(known[0]), wish)
        while is_alive(known) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
