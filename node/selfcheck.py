"""A node in quarantine checks itself as its owner would (`python -m node check`), and says what it found."""

import logging
import os
import sys
import threading
import time
from pathlib import Path

from .bridge.keeper import PROJECT
from .central import Away, Central, Refused
from .check import FAILED, MARKS
from .config import Config
from .process import Process
from .trainers.base import Command

log = logging.getLogger(__name__)
AGAIN_SECONDS = 300.0
"""After a check that did not pass: what is wrong may have been put right meanwhile."""
LONGEST_SECONDS = 180.0
LOOK_SECONDS = 0.5


class SelfCheck:
    """Of one node; one at a time, in a process of its own. Trainings that still run go on beside it."""

    def __init__(self, config: Config, central: Central) -> None:
        self._config, self._central = config, central
        self._thread = threading.Thread()
        self._due = 0.0

    def ask(self) -> None:
        """The coordinator waits for it. Returns at once."""
        if self._thread.is_alive() or time.monotonic() < self._due:
            return
        self._thread = threading.Thread(target=self._run, name="self-check", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._due = time.monotonic() + AGAIN_SECONDS
        try:
            passed, findings = check(self._config)
            log.warning("This node has checked itself: %s", "it can train." if passed else " ".join(findings))
            self._central.self_checked(passed, findings)
        except (Away, Refused) as error:
            log.warning("The coordinator cannot be told what the self-check found: %s", error)
            self._due = 0.0


def check(config: Config) -> tuple[bool, list[str]]:
    """Whether this machine can train, and what is wrong with it where it cannot, a sentence or two for each thing."""
    folder = Path(config.node_data_dir).resolve() / "self-check"
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "said"
    said.unlink(missing_ok=True)
    path = os.pathsep.join(part for part in (str(PROJECT), config.environ.get("PYTHONPATH")) if part)
    command = Command((sys.executable, "-m", "node", "check"), {**config.environ, "PYTHONPATH": path}, Path.cwd())
    with Process(command, said, folder / "check.pid", "self-check", 1) as process:
        deadline = time.monotonic() + LONGEST_SECONDS
        while process.exit_code is None and time.monotonic() < deadline:
            process.facts(LOOK_SECONDS)
        code = process.exit_code
    findings = crosses(said.read_text(encoding="utf-8", errors="replace"))
    if code is None:
        findings.append(f"The check had not ended after {LONGEST_SECONDS:.0f} s.")
    return code == 0, findings


def crosses(said: str) -> list[str]:
    """Of the lines that the check prints, what is wrong."""
    marks = tuple(f"{mark} " for mark in MARKS[FAILED][:2])
    return [line.partition(" ")[2] for line in said.splitlines() if line.startswith(marks)]
