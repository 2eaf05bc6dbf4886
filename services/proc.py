"""Looks at processes through /proc; used where a pid must be told from a later process with the same number."""

import os
from pathlib import Path

PROC = Path("/proc")
# Counted after the ") " that ends the command's name in /proc/<pid>/stat, which may itself hold blanks.
STATE, PARENT, START_TIME = 0, 1, 19


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name; empty when there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def identity(pid: int) -> list[str]:
    """[pid, start time, boot]: the same only for the same process; the start time is empty when it is gone."""
    fields = stat_fields(pid)
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return [str(pid), fields[START_TIME] if fields else "", boot]


def is_alive(known: list[str]) -> bool:
    """Whether the process of that identity still runs (a zombie does not)."""
    fields = stat_fields(int(known[0]))
    return bool(fields) and identity(int(known[0])) == known and fields[STATE] not in "ZX"


def pids_with_parent(parent: int) -> list[int]:
    """Direct children, zombies included."""
    pids = (int(name) for name in os.listdir(PROC) if name.isdigit())
    return [pid for pid in pids if (fields := stat_fields(pid)) and fields[PARENT] == str(parent)]
