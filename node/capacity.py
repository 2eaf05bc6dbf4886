"""What this machine has for its trainings, within the limits that a container sets it, divided by the slots. Linux."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .config import Config

MB = 2**20
ROOT = Path("/")
LARGEST_RESERVE_MB = 2048


def threads_per_slot(config: Config) -> int:
    """TRAINER_THREADS, or a slot's part of the cores less one, which its environment needs; at least 1."""
    return config.trainer_threads or max(1, cores() // config.node_slots - 1)


def memory_mb_per_slot(config: Config) -> int:
    """NODE_MEMORY_MB, or a slot's part of the memory less an eighth (2 GB at most), which is the machine's own."""
    if config.node_memory_mb:
        return config.node_memory_mb
    total = memory_mb()
    return max(1, (total - min(LARGEST_RESERVE_MB, total // 8)) // config.node_slots)


def free_disk_mb(config: Config) -> int:
    """Where the trainings' files lie, as far as this user may use it."""
    folder = Path(config.node_data_dir).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free // MB


def cores(root: Path = ROOT) -> int:
    """Cores that this process may use at once: its affinity, and the quota of its control group."""
    quotas = [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *quotas]))


def memory_mb(root: Path = ROOT) -> int:
    """The machine's memory, or the limit of this process's control group where that is less."""
    lines = (root / "proc" / "meminfo").read_text().splitlines()
    total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    names = ("memory.max", "memory.limit_in_bytes")
    limits = [limit for group in _groups(root, "memory") for name in names if (limit := _number(group / name))]
    return min([total, *limits]) // MB


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those around it, of version 2 and 1."""
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys" / "fs" / "cgroup" / (controller if controllers else "")
        group = top / path.strip("/")
        yield from (folder for folder in (group, *group.parents) if folder == top or top in folder.parents)


def _quota(group: Path) -> int | None:
    """Whole cores, at least 1; None where there is no limit."""
    limit, _, period = _text(group / "cpu.max").strip().partition(" ")
    if not limit:
        limit, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    if not limit.isdigit() or not period.isdigit():
        return None
    return max(1, math.floor(int(limit) / int(period)))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""
