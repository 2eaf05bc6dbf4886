"""What a test's trainings have left running. Services of the tests come and go beside them, and are none of theirs."""

import contextlib
import os
from pathlib import Path

from node.shim import MARK, descendants


def trainings() -> set[int]:
    """The processes below this one that belong to a training: each carries its mark, whatever started it."""
    return {pid for pid in descendants(os.getpid()) if f"{MARK}=".encode() in environ_of(pid)}


def environ_of(pid: int) -> bytes:
    """Empty for a process that has just gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""
