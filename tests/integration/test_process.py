"""The shim with small programs instead of trainers: whatever they do and whoever dies, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.process import Process
from node.shim import descendants, kill_leftover, kill_marked, marked, started
from node.trainers.base import Command

RUNAWAY = """
import os, subprocess, sys
inner = "import os, time; os.fork() and os._exit(0); os.setsid(); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", inner], start_new_session=True, stdout=subprocess.PIPE)
assert child.stdout.readline()
os.write(int(os.environ["TRAINER_FACTS_FD"]), b'{"kind": "ready"}\\n')
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.write(int(os.environ["TRAINER_FACTS_FD"]), b'{"kind": "ready"}\\n')
time.sleep(600)
"""
POLITE = """
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
os.write(int(os.environ["TRAINER_FACTS_FD"]), b'{"kind": "ready"}\\nnonsense\\n[1]\\n{"kind": "rea')
os.write(int(os.environ["TRAINER_FACTS_FD"]), b'dy"}\\n')
time.sleep(600)
"""


def kill_leftovers(folder: Path) -> list[tuple[str, int]]:
    return [kill_leftover(pidfile) for pidfile in sorted(folder.glob("*.pid"))]


def start(program: str, folder: Path) -> Process:
    command = Command((sys.executable, "-c", program), {"PATH": os.environ["PATH"]}, folder)
    return Process(command, folder / "log", folder / "run-1.pid", "run-1", 1)


def until_ready(process: Process, count: int = 1) -> None:
    ready: list[dict[str, Any]] = []
    wait_for(lambda: len(ready.extend(process.facts(0.1)) or ready) >= count)
    assert ready == [{"kind": "ready"}] * count


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        threading.Event().wait(0.02)


def test_an_interrupt_reaches_the_program_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    with start(POLITE, tmp_path) as process:
        until_ready(process, count=2)
        process.interrupt()
        wait_for(lambda: process.facts(0.1) or process.exit_code is not None)
        assert process.exit_code == 5


def test_a_program_that_ignores_the_interrupt_is_killed(tmp_path: Path) -> None:
    with start(STUBBORN, tmp_path) as process:
        until_ready(process)
        process.interrupt()
        process.end()
        assert process.exit_code == 128 + signal.SIGKILL
    assert not marked(process.mark)


@pytest.mark.parametrize("program", [RUNAWAY, RUNAWAY + "import time; time.sleep(600)"])
def test_children_in_sessions_of_their_own_are_taken_along(tmp_path: Path, program: str) -> None:
    with start(program, tmp_path) as process:
        until_ready(process)
        assert marked(process.mark)
        if program == RUNAWAY:
            wait_for(lambda: process.facts(0.1) or process.exit_code is not None)
    assert not marked(process.mark)
    assert not list(tmp_path.glob("*.pid"))


def test_a_killed_shim_takes_the_tree_along_in_the_end(tmp_path: Path) -> None:
    with start(RUNAWAY + "import time; time.sleep(600)", tmp_path) as process:
        until_ready(process)
        os.kill(json.loads((tmp_path / "run-1.pid").read_text())["pid"], signal.SIGKILL)
        wait_for(lambda: process.exit_code)
    assert not marked(process.mark)


def test_a_restarted_node_ends_what_a_crash_has_left(tmp_path: Path) -> None:
    """Node and shim are both killed, so nobody was there to clean up."""
    process = start(RUNAWAY + "import time; time.sleep(600)", tmp_path)
    until_ready(process)
    shim = json.loads((tmp_path / "run-1.pid").read_text())["pid"]
    os.kill(shim, signal.SIGKILL)
    wait_for(lambda: process.exit_code)
    assert marked(process.mark)

    assert kill_leftovers(tmp_path) == [("run-1", 1)]
    assert not marked(process.mark)
    assert not list(tmp_path.iterdir()) or not list(tmp_path.glob("*.pid"))
    process.__exit__()


def test_a_pid_that_was_given_to_somebody_else_is_spared(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        record = {"run_id": "run-1", "attempt": 1, "pid": stranger.pid, "started": "another boot:1", "mark": "none"}
        (tmp_path / "run-1.pid").write_text(json.dumps(record))
        assert kill_leftovers(tmp_path) == [("run-1", 1)]
        assert stranger.poll() is None
        stranger.kill()


def test_a_pid_with_the_same_start_is_ended_with_its_children(tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"]) as left:
        wait_for(lambda: descendants(left.pid))
        record = {"run_id": "run-1", "attempt": 1, "pid": left.pid, "started": started(left.pid), "mark": ""}
        (tmp_path / "run-1.pid").write_text(json.dumps(record))
        threading.Thread(target=left.wait).start()  # buries it, so that it is gone
        kill_leftovers(tmp_path)
        assert not descendants(left.pid)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_pidfile_that_cannot_be_read_is_removed(tmp_path: Path, text: str) -> None:
    (tmp_path / "run-1.pid").write_text(text)
    kill_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_mark_matches_nothing() -> None:
    kill_marked("nobody has this mark")
