"""How much memory a tree of processes uses. Linux: the kernel's own sums in /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from node.shim import descendants


def tree_bytes(pids: Iterable[int], enough: int = 0) -> int:
    """What these processes use together, swapped-out memory too: what they share is counted once (the sum of PSS).

    The resident sets are added first, which costs less and counts what is shared several times: where even that is not
    more than `enough`, it is the answer.
    """
    alive = list(pids)
    most = sum(_status(pid) for pid in alive)
    return most if most <= enough else sum(_proportional(pid) for pid in alive)


def below(root: int) -> list[int]:
    """All processes below that one, as shim.descendants finds them, but by asking parents for their children: a look
    five times a second at each training must not cost reading all of /proc."""
    if not Path("/proc/thread-self/children").exists():
        return descendants(root)  # a kernel without these files
    found, fresh = list[int](), [root]
    while fresh:
        children = _children(fresh.pop())
        found += children
        fresh += children
    return found


def _children(pid: int) -> list[int]:
    """Of all its threads; none when it has gone meanwhile."""
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in _text(task / "children").split()]
    return []


def _status(pid: int) -> int:
    return _sum(pid, "status", ("VmRSS:", "VmSwap:"))


def _proportional(pid: int) -> int:
    """Of a process that may not be looked into, its resident set."""
    return _sum(pid, "smaps_rollup", ("Pss:", "SwapPss:")) or _status(pid)


def _sum(pid: int, file: str, names: tuple[str, ...]) -> int:
    """Of lines such as `Pss:   1234 kB`, in bytes; 0 when the process has gone."""
    lines = (line.split() for line in _text(Path(f"/proc/{pid}/{file}")).splitlines())
    return sum(int(words[1]) * 1024 for words in lines if words and words[0] in names)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""
