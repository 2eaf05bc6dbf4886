"""Keeps the bridge running beside the node's worker: started with it, started again when it dies, ended with it."""

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

from node.config import Config

log = logging.getLogger(__name__)
PROJECT = Path(__file__).resolve().parents[2]
PAUSE_SECONDS, END_SECONDS = 2.0, 5.0


class Keeper:
    """Of one bridge. Its thread never ends: the kernel ends the bridge together with the thread that started it.

    Raises BadConfiguration for an address that is none.
    """

    def __init__(self, config: Config) -> None:
        self._address = config.bridge_listen
        self._environ = {**config.environ, "PYTHONPATH": _path(config.environ.get("PYTHONPATH"))}
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="bridge", daemon=True).start()

    def stop(self) -> None:
        """Ends the bridge and waits for it."""
        self._ending.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                said = f"has ended (exit code {self._start().wait()})"
            except OSError as error:
                said = f"could not be started ({error})"
            if not self._ending.wait(PAUSE_SECONDS):
                log.warning("The bridge %s; the next one is started.", said)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "node.bridge", str(os.getpid())]
        # a session of its own: what is meant for the node's process group would end it before the trainings
        self._process = subprocess.Popen(command, env=self._environ, start_new_session=True)
        return self._process


def _path(given: str | None) -> str:
    return os.pathsep.join(part for part in (str(PROJECT), given) if part)
