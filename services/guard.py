"""Runs one service's program and lets nothing of it outlive the process that asked for it, even after kill -9.

Started by `process.Process` as a process of its own, in a session of its own (a Ctrl-C at the terminal does not reach
it). It adopts whatever the program leaves behind, so at its end every descendant is dead.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from services.proc import identity, pids_with_parent

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.5
STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
KILL_SIGNAL = signal.SIGQUIT
WATCHED = STOP_SIGNALS | {KILL_SIGNAL, signal.SIGCHLD}


def main() -> int:
    """Start the program, wait for a reason to end, end it; the exit code is the program's."""
    options = parse()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    if os.getppid() != options.parent:
        return 1
    child = subprocess.Popen(options.command, stdin=subprocess.DEVNULL, preexec_fn=become_child)
    write_pidfile(options.pidfile, child.pid)
    reason = wait_for_reason(child, options.parent)
    if reason in STOP_SIGNALS:
        stop(child, options.stop_signal, options.grace)
    kill_descendants()
    options.pidfile.unlink(missing_ok=True)
    return child.returncode or 0


def parse() -> argparse.Namespace:
    """The command line, as `process.Process` writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--pidfile", type=Path, required=True)
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGTERM))
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def become_child() -> None:
    """In the child before exec: die with the guard, and take signals as a fresh program does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def write_pidfile(path: Path, child: int) -> None:
    """Leave what a later start needs to recognise us by: pids alone may have been given to others."""
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"guard": identity(os.getpid()), "program": identity(child)}))
    draft.replace(path)


def wait_for_reason(child: "subprocess.Popen[bytes]", parent: int) -> int:
    """The signal that says how to end; SIGCHLD when the program ended by itself, SIGTERM when our parent is gone.

    The parent is looked at now and then because PR_SET_PDEATHSIG would fire when the thread that started us ends.
    """
    while child.poll() is None:
        got = signal.sigtimedwait(WATCHED, LOOK_SECONDS)
        if os.getppid() != parent:
            return signal.SIGTERM
        if got is not None and got.si_signo != signal.SIGCHLD:
            return got.si_signo
        if got is not None:
            reap_adopted(child.pid)
    return signal.SIGCHLD


def reap_adopted(child: int) -> None:
    """Collect adopted processes that ended, but leave the program itself to its Popen."""
    for pid in pids_with_parent(os.getpid()):
        if pid != child:
            os.waitpid(pid, os.WNOHANG)


def stop(child: "subprocess.Popen[bytes]", stop_signal: int, grace: float) -> None:
    """Ask the program to end and give it `grace` seconds; a second, harder wish cuts that short."""
    child.send_signal(stop_signal)
    deadline = time.monotonic() + grace
    while child.poll() is None and time.monotonic() < deadline:
        got = signal.sigtimedwait(WATCHED, LOOK_SECONDS)
        if got is not None and got.si_signo == KILL_SIGNAL:
            return


def kill_descendants() -> None:
    """Kill children until there are none: those of a killed child become ours and are next."""
    while pids := pids_with_parent(os.getpid()):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
