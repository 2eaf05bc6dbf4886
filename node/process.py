"""A trainer's process under its shim: facts come in, an interrupt goes out, and in the end nothing is left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from node import shim
from node.memory import below
from node.progress import Busy
from node.trainers.base import Command

LONGEST_LINE = 1_000_000
F_SETPIPE_SZ = 1031
PIPE_SIZE = 1_048_576  # room for hundreds of facts while the node is busy; the trainer waits only when it is full


class Process:
    """Use as a context manager; leaving the block kills whatever still runs, however it is left."""

    def __init__(self, command: Command, log: Path, pidfile: Path, run_id: str, attempt: int, mark: str = "") -> None:
        self.mark = mark or uuid.uuid4().hex
        self.cwd = command.cwd
        self.drained = False
        self._rest = b""
        self._facts, writable = os.pipe()
        try:
            _enlarge(writable)
            self._shim = self._start(command, log, [str(pidfile), run_id, str(attempt), str(writable)], writable)
        except BaseException:
            os.close(self._facts)
            raise
        finally:
            os.close(writable)

    def _start(self, command: Command, log: Path, about: list[str], facts_fd: int) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-I", "-S", str(Path(shim.__file__).resolve())]
        environ = {**command.environ, shim.MARK: self.mark, "TRAINER_FACTS_FD": str(facts_fd)}
        with log.open("ab") as output:
            return subprocess.Popen(
                [*program, str(os.getpid()), *about, *command.argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd=command.cwd,
                pass_fds=(facts_fd,),
                start_new_session=True,  # a Ctrl-C or killpg meant for the node reaches the node, which then ends this
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        try:
            self.end()
        finally:
            os.close(self._facts)

    def facts(self, timeout_s: float) -> list[dict[str, Any]]:
        """The facts that have come in, waiting so long for the first. `drained` afterwards: there will be no more."""
        if self.drained:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._shim.wait(timeout_s)
            return []
        if not select.select([self._facts], [], [], timeout_s)[0]:
            return []
        chunk = os.read(self._facts, 65_536)
        self.drained = not chunk
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-LONGEST_LINE:]
        return [fact for line in lines if (fact := _parse(line))]

    @property
    def exit_code(self) -> int | None:
        """The trainer's (128 + n for signal n), or None while it or anything that it started is running."""
        code = self._shim.poll()
        return 128 - code if code is not None and code < 0 else code

    def pids(self) -> list[int]:
        """The trainer and everything that it has started, as far as it is running."""
        return below(self._shim.pid)

    def busy(self) -> Busy:
        """Processor time of the trainer's own process, the shim's first child, and of all that it has started."""
        trainer, *others = [shim.cpu_seconds(pid) for pid in self.pids()] or [0.0]
        return Busy(trainer, sum(others))

    def interrupt(self) -> None:
        """Asks the trainer to save and end."""
        if self._shim.poll() is None:
            self._shim.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Kills all of it, unless it is over already. Returns when nothing is left."""
        with contextlib.suppress(ProcessLookupError):
            self._shim.send_signal(signal.SIGCONT)  # somebody may have stopped it
        if self._shim.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._shim.stdin.close()
        try:
            self._shim.wait(2 * shim.LAST_RESORT_S)
        except subprocess.TimeoutExpired:
            self._shim.kill()
            self._shim.wait()
        finally:
            shim.kill_marked(self.mark)  # nothing, unless somebody killed the shim


def _enlarge(pipe: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, F_SETPIPE_SZ, PIPE_SIZE)


def _parse(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        fact = json.loads(line)
        if isinstance(fact, dict) and isinstance(fact.get("kind"), str):
            return fact
    return None
