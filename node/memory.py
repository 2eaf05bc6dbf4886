"""How much memory a tree of processes uses. Linux: the kernel's own sums in /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path


def tree_bytes(pids: Iterable[int], enough: int = 0) -> int:
    """What these processes use together, swapped-out memory too: what they share is counted once (the sum of PSS).

    The resident sets are added first, which costs less and counts what is shared several times: where even that is not
    more than `enough`, it is the answer.
    """
    alive = list(pids)
    most = sum(_status(pid) for pid in alive)
    return most if most <= enough else sum(_proportional(pid) for pid in alive)


def _status(pid: int) -> int:
    return _sum(pid, "status", ("VmRSS:", "VmSwap:"))


def _proportional(pid: int) -> int:
    """Of a process that may not be looked into, its resident set."""
    return _sum(pid, "smaps_rollup", ("Pss:", "SwapPss:")) or _status(pid)


def _sum(pid: int, file: str, names: tuple[str, ...]) -> int:
    """Of lines such as `Pss:   1234 kB`, in bytes; 0 when the process has gone."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/{file}").read_text(errors="replace").splitlines())
        return sum(int(words[1]) * 1024 for words in lines if words and words[0] in names)
    return 0
