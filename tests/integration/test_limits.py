"""Trainings that exceed a limit, with small programs instead of trainers: each ends alone, and says why."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from node.guards import MB, Limits
from node.memory import tree_bytes
from node.process import Process
from node.shim import descendants, marked
from node.trainers.base import Artifact, Command, Ending, EnvironmentBuild, Evidence, Machine, TrainingOrder
from node.training import train

CONNECTED = """
import os, subprocess, sys, threading
facts = int(os.environ["TRAINER_FACTS_FD"])
os.write(facts, b'{"kind": "connected", "behaviours": ["B"]}\\n')
"""
EATS = (
    CONNECTED
    + """
eaten = []
while True:
    eaten.append(b"1" * 2**22)
"""
)
A_CHILD_EATS = (
    CONNECTED
    + f"""
child = "import os; os.setsid(); os.fork() and os._exit(0)" + {EATS.replace(CONNECTED, "")!r}
subprocess.run([sys.executable, "-c", child])
threading.Event().wait()
"""
)
FLOODS = (
    CONNECTED
    + """
while True:
    print("The agent has seen something. " * 4096)
"""
)
AN_ENVIRONMENT_FLOODS = (
    CONNECTED
    + """
os.makedirs("results/run_logs")
with open("results/run_logs/Player-0.log", "w") as log:
    while True:
        log.write("The agent has seen something. " * 4096)
"""
)
SILENT = CONNECTED + "threading.Event().wait()"
BUSY = (
    CONNECTED
    + """
for _ in range(15):
    os.write(facts, b'{"kind": "alive"}\\n')
    threading.Event().wait(0.2)
"""
)
ALL = Limits(memory_bytes=200 * MB, log_bytes=20 * MB, stall_s=60)


class SmallTrainer:
    """Runs the program that the environment's manifest holds."""

    packages = ()

    def prepare(self, order: TrainingOrder, workspace: Path, machine: Machine) -> Command:
        workspace.mkdir(parents=True)
        environ = {"PATH": os.environ["PATH"]}
        return Command((sys.executable, "-c", order.environment.manifest["program"]), environ, workspace)

    def collect(self, order: TrainingOrder, workspace: Path) -> tuple[Artifact, ...]:
        return ()

    def explain(self, order: TrainingOrder, evidence: Evidence) -> None:
        return None


def run(program: str, folder: Path, limits: Limits) -> Ending:
    build = EnvironmentBuild(folder, {"program": program})
    order = TrainingOrder("run-1", 1, "B", build, max_steps=1000, num_of_areas=1, seed=1, base_port=1)
    machine = Machine(sys.executable, {})
    return train(order, folder / "1", lambda fact: None, threading.Event(), machine, limits=limits)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.training.load_trainer", lambda name: SmallTrainer())


@pytest.mark.parametrize(
    ("program", "limits", "sentence", "cause"),
    [
        (EATS, ALL, "The training used more than its 200 MB of memory: it was at ", "memory"),
        (A_CHILD_EATS, ALL, "The training used more than its 200 MB of memory: it was at ", "memory"),
        (FLOODS, ALL, "The trainer wrote more than 20 MB into its log.", "user"),
        (AN_ENVIRONMENT_FLOODS, ALL, "The environment wrote more than 20 MB into its log.", "user"),
        (SILENT, Limits(stall_s=1), "The training stood still: it made no step for 1 s.", "stalled"),
    ],
    ids=["eats", "a child eats", "floods", "an environment floods", "silent"],
)
def test_a_training_that_exceeds_a_limit_is_ended_and_says_so(
    tmp_path: Path, program: str, limits: Limits, sentence: str, cause: str
) -> None:
    before = {*descendants(os.getpid())}
    ending = run(program, tmp_path, limits)
    assert (ending.status, ending.cause, str(ending.error)[: len(sentence)]) == ("failed", cause, sentence)
    assert {*descendants(os.getpid())} <= before


def test_a_training_that_makes_steps_is_left_alone(tmp_path: Path) -> None:
    """It lasts three times as long as it may stand still, and ends by itself."""
    ending = run(BUSY, tmp_path, Limits(stall_s=1, memory_bytes=ALL.memory_bytes, log_bytes=ALL.log_bytes))
    assert ending.error == "The environment ended the training after 0 of 1000 steps."


def test_a_training_that_has_not_begun_does_not_stand_still(tmp_path: Path) -> None:
    program = "import time; time.sleep(2)"
    assert "stood still" not in str(run(program, tmp_path, Limits(stall_s=0.5)).error)


def test_memory_that_processes_share_is_counted_once(tmp_path: Path) -> None:
    program = """
import os, time
shared = b"1" * 2**26
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
os.write(int(os.environ["TRAINER_FACTS_FD"]), b'{"kind": "ready"}\\n')
time.sleep(600)
"""
    command = Command((sys.executable, "-c", program), {"PATH": os.environ["PATH"]}, tmp_path)
    with Process(command, tmp_path / "log", tmp_path / "1.pid", "run-1", 1) as process:
        while not process.facts(0.1):
            assert process.exit_code is None
        pids = process.pids()
        assert len(pids) == 4
        assert {*pids} < {*marked(process.mark)}
        once, more_than_once = tree_bytes(pids), tree_bytes(pids, enough=2**40)
        assert 64 * MB < once < 150 * MB < more_than_once
        assert [(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in pids] == ["1000\n"] * 4
    assert tree_bytes(pids) == 0
