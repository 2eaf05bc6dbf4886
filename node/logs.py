"""Follows the logs of a running training and reports their lines as facts: a few pieces a second, and bounded."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

EVERY_SECONDS = 0.4
PIECE_BYTES = 16 * 1024
FILES = (("trainer", "trainer.log"), ("environment", "results/*/run_logs/Player-*.log"))
BOUND = "[More than {} kB of this log came; the rest is not shown here.]\n"


class Tail:
    """One growing file. Cut short or replaced, it is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path, self._inode, self._at = path, 0, 0

    def read(self, most: int, *, also_half: bool = False) -> str:
        """The next whole lines, so many bytes at most; a line that is longer than that comes in parts.

        With `also_half` the last line need not be whole: its writer has ended.
        """
        with suppress(OSError), self._path.open("rb") as file:  # OSError: it is not there (any more)
            self._look(file.fileno())
            file.seek(self._at)
            content = file.read(most)
            whole = content[: content.rfind(b"\n") + 1] or (content if also_half or len(content) == most else b"")
            self._at += len(whole)
            return whole.decode("utf-8", "replace")
        return ""

    def _look(self, file: int) -> None:
        its = os.fstat(file)
        if its.st_ino != self._inode or its.st_size < self._at:
            self._inode, self._at = its.st_ino, 0


class Logs:
    """All logs of an attempt in `folder`. Each source may say so many bytes; then one line tells that there is more."""

    def __init__(self, folder: Path, say: Callable[[dict[str, Any]], None], most_kb: int) -> None:
        self._folder, self._say, self._most_kb = folder, say, most_kb
        self._left = {source: most_kb * 1024 for source, _ in FILES}
        self._tails: dict[Path, Tail] = {}

    def gather(self, *, also_half: bool = False) -> bool:
        """Reports at most one piece of each source; whether there was any."""
        found = [self._piece(source, pattern, also_half) for source, pattern in FILES]
        return any(found)

    def gather_rest(self) -> None:
        """What is left once the training has ended."""
        while self.gather(also_half=True):
            pass

    def _piece(self, source: str, pattern: str, also_half: bool) -> bool:
        if self._left[source] <= 0:
            return False
        for path in sorted(self._folder.glob(pattern)):
            tail = self._tails.setdefault(path, Tail(path))
            if text := tail.read(min(PIECE_BYTES, self._left[source]), also_half=also_half):
                self._report(source, text)
                return True
        return False

    def _report(self, source: str, text: str) -> None:
        self._left[source] -= len(text.encode())
        if self._left[source] <= 0:
            text += ("" if text.endswith("\n") else "\n") + BOUND.format(self._most_kb)
        self._say({"kind": "log", "source": source, "text": text})


@contextmanager
def followed(folder: Path, say: Callable[[dict[str, Any]], None], most_kb: int) -> Iterator[None]:
    """While the block runs, its logs are reported from a thread; at its end, what is left of them."""
    logs, ended = Logs(folder, say, most_kb), threading.Event()

    def follow() -> None:
        while not ended.wait(EVERY_SECONDS):
            logs.gather()

    thread = threading.Thread(target=follow, name="logs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        logs.gather_rest()
