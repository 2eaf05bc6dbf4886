"""The project's virtual environments, installed by pip from `locks/` and marked with what they were installed from."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from scripts.machine import SetupError

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "locks"
WHEELS = ("--only-binary", ":all:", "--no-binary", "psycogreen")
"""Files that run no code of theirs while they are installed; of one package there are only others."""
HASHED = ("--require-hashes", *WHEELS)
"""Only files that are known."""
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")
TAIL_LINES = 15


class Venv:
    """One environment: a folder, and the pip commands that fill it."""

    def __init__(
        self, name: str, purpose: str, commands: list[list[str]], either: list[list[str]] | None = None
    ) -> None:
        self.folder = ROOT / name
        self.purpose = purpose
        self.commands = commands
        self.either = either or []
        """And the first of these that succeeds, where the machine's package indexes differ."""
        self.stamp = self.folder / ".installed-from"
        self.log = ROOT / ".data" / "logs" / f"setup{name}.log"

    def is_up_to_date(self) -> bool:
        """Whether it was completed from the present requirement files, in this place."""
        return self.stamp.exists() and self.stamp.read_text() == self.fingerprint()

    def fingerprint(self) -> str:
        """A hash over the requirement files, the commands, the place (an environment cannot be moved)."""
        files = [ROOT / word for command in [*self.commands, *self.either] for word in command if word.endswith(".txt")]
        parts = [repr((str(self.folder), self.commands)), *[file.read_text() for file in files]]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def install(self) -> None:
        """Make and fill it; the mark comes last, so an interrupted installation is taken up again."""
        print(f"Installing {self.folder.name} ({self.purpose}) ...", flush=True)
        began = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        self.stamp.unlink(missing_ok=True)
        if not self._has_pip():
            shutil.rmtree(self.folder, ignore_errors=True)
            self._run([sys.executable, "-m", "venv", str(self.folder)])
        for command in self.commands:
            self._pip(command)
        if self.either:
            self._pip_either()
        self.stamp.write_text(self.fingerprint())
        print(f"  done in {time.monotonic() - began:.0f} s", flush=True)

    def _pip(self, command: list[str]) -> None:
        self._run([str(self.folder / "bin" / "python"), *PIP, "install", "--progress-bar", "off", *HASHED, *command])

    def _pip_either(self) -> None:
        for command in self.either[:-1]:
            with suppress(SetupError):  # the log has it
                self._pip(command)
                return
        self._pip(self.either[-1])

    def _has_pip(self) -> bool:
        python = self.folder / "bin" / "python"
        probe = "import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))"
        return python.exists() and subprocess.run([str(python), "-c", probe], check=False).returncode == 0

    def _run(self, command: list[str]) -> None:
        """Output into the log; on a terminal the current package in one line that is written over."""
        with self.log.open("a") as log, subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=dict(os.environ, PYTHONUNBUFFERED="1"),
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                log.write(line)
                show(line.strip())
        show("")
        if process.returncode:
            raise SetupError(self._complaint())

    def _complaint(self) -> str:
        lines = [line for line in self.log.read_text().splitlines() if not line.startswith("WARNING")]
        tail = "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:])
        return (
            f"pip could not fill {self.folder.name}. It said (all of it is in {self.log}):\n{tail}\n"
            "Is the package index reachable, and is there room on the disk? The next `make` goes on from here."
        )


def show(line: str) -> None:
    """One passing line on a terminal; nothing in a pipe."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(f"\r\033[K  {line[:width]}" if line else "\r\033[K", end="", flush=True)


COORDINATOR = Venv(".venv", "the platform and its backing services", [["-r", "locks/requirements-dev.txt"]])
NODE = Venv(
    ".venv-node",
    "ML-Agents, Stable-Baselines3 and torch for the training node; the largest part, a few minutes",
    [
        ["--no-deps", "-r", "locks/requirements-node.txt"],
        ["--no-deps", "--ignore-requires-python", "-r", "locks/requirements-node-mlagents.txt"],
    ],
    # PyTorch's build for processors only, where an index is set up that has it; else the default one
    [["--no-deps", "-r", "locks/requirements-node-cpu.txt"], ["--no-deps", "-r", "locks/requirements-node-cuda.txt"]],
)
TOOLS = Venv(".venv-tools", "what `make lock` and `make audit` need", [["-r", "locks/requirements-tools.txt"]])
