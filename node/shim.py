"""Stands between node and trainer: starts it in its own session, dies with its parent, takes its whole tree along.

Run as a program: `python -I -S shim.py PARENT_PID PIDFILE RUN_ID ATTEMPT FACTS_FD COMMAND...`. Its standard input is a
pipe that the parent holds and never writes to: the end of it means that the parent is gone or wants an end. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

MARK = "TRAINING_MARK"  # every process of a training carries this variable, whatever session it moved to
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LAST_RESORT_S = 10.0  # how long killed processes may take to be gone


def main(arguments: list[str]) -> int:
    parent, pidfile, run_id, attempt, facts_fd, *command = arguments
    wakeup = _listen()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != int(parent):
        return 128 + signal.SIGHUP  # the parent died before PDEATHSIG was set
    _write_pidfile(Path(pidfile), run_id, int(attempt))
    try:
        trainer = _start(command, int(facts_fd))
        code = _supervise(trainer, wakeup)
    finally:
        _end_tree()
        Path(pidfile).unlink(missing_ok=True)
    return code


def _listen() -> int:
    """Turns signals into bytes of a pipe, so that one select sees them all. INT and TERM go on to the trainer."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return readable


def _start(command: list[str], facts_fd: int) -> int:
    def die_with_the_shim() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        _go_first()

    trainer = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(facts_fd,),
        preexec_fn=die_with_the_shim,  # safe: this process has one thread
    )
    os.close(facts_fd)
    trainer.returncode = 0  # reaped here, with all the adopted ones; Popen has nothing left to do
    return trainer.pid


def _supervise(trainer: int, wakeup: int) -> int:
    """Until the trainer ends (its exit code, 128 + n for signal n) or the parent is gone."""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        signals = _drain(wakeup) if wakeup in ready else b""
        code = _reap(trainer)
        if code is not None:
            return code
        if signal.SIGHUP in signals or (0 in ready and not os.read(0, 4096)):
            return 128 + signal.SIGKILL
        for number in {signal.SIGINT, signal.SIGTERM} & set(signals):
            os.kill(trainer, number)


def _drain(wakeup: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(wakeup, 4096)
    return b""


def _reap(trainer: int) -> int | None:
    """Buries all the dead children, adopted ones too; the trainer's exit code if it was among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            if dead[0] == trainer:
                exit_code = os.waitstatus_to_exitcode(dead[1])
                code = exit_code if exit_code >= 0 else 128 - exit_code
    return code


def _end_tree() -> None:
    """Kills until no child is left: a subreaper gets the orphans, so every descendant becomes a child in the end."""
    deadline = time.monotonic() + LAST_RESORT_S
    while time.monotonic() < deadline:
        _kill(descendants(os.getpid()))
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        time.sleep(0.005)


def _write_pidfile(path: Path, run_id: str, attempt: int) -> None:
    record = {
        "run_id": run_id,
        "attempt": attempt,
        "pid": os.getpid(),
        "started": started(os.getpid()),
        "mark": os.environ.get(MARK, ""),
    }
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(record), encoding="utf-8")
    fresh.replace(path)


def _go_first() -> None:
    """Where the machine runs out of memory, the kernel ends a training, and nothing else: not the node, not others."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


# ---- what is running, from /proc


def started(pid: int) -> str:
    """When that process started (boot id and clock ticks): with its pid never given twice. "" if it is gone."""
    fields = _stat(pid)
    if not fields:
        return ""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() + ":" + fields[19]


def cpu_seconds(pid: int) -> float:
    """Processor time that this process has used since its start, all its threads together; 0 when it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def descendants(root: int) -> list[int]:
    """All processes below that one, without it and without the dead ones."""
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid)) and fields[0] != "Z"}
    found, fresh = set[int](), {root}
    while fresh := {pid for pid, parent in parents.items() if parent in fresh} - found:
        found |= fresh
    return sorted(found)


def marked(mark: str) -> list[int]:
    """All living processes that were started with that mark, except this one."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _environ(pid).split(b"\0")]


def marks() -> Iterator[tuple[int, str]]:
    """Every living process of any training, and its mark."""
    prefix = f"{MARK}=".encode()
    for pid in _pids():
        for variable in _environ(pid).split(b"\0"):
            if variable.startswith(prefix):
                yield pid, variable[len(prefix) :].decode("ascii", "replace")


def _pids() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _stat(pid: int) -> list[str]:
    """The fields after the name: [0] state, [1] parent, [19] start time; empty when the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return []


def _environ(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


# ---- for the node: what a crash left behind


def kill_marked(mark: str) -> None:
    """Ends every process with that mark, and waits until they are gone."""
    _kill_until_gone(lambda: marked(mark))


def kill_leftover(pidfile: Path) -> tuple[str, int]:
    """Ends what a training of an earlier node process left running, by its pidfile: its (run_id, attempt).

    For a node's start only: a training that is meant to run is killed too.
    """
    try:
        record = json.loads(pidfile.read_text(encoding="utf-8"))
        pid, mark = int(record["pid"]), str(record["mark"])
        run_id, attempt = str(record["run_id"]), int(record["attempt"])
    except (OSError, ValueError, KeyError, TypeError):
        pidfile.unlink(missing_ok=True)  # half-written: nothing was started yet
        return pidfile.stem, 0

    def left() -> list[int]:
        own = [pid, *descendants(pid)] if started(pid) == record.get("started") else []
        return [*own, *(marked(mark) if mark else [])]

    _kill_until_gone(left)
    pidfile.unlink(missing_ok=True)
    return run_id, attempt


def _kill_until_gone(left: Callable[[], list[int]]) -> None:
    deadline = time.monotonic() + LAST_RESORT_S
    while (pids := left()) and time.monotonic() < deadline:
        _kill(pids)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
