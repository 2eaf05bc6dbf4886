"""The machine that a training runs on, as far as it decides numbers and speed. Reads /proc; nothing is measured."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from pathlib import Path
from typing import Any


def described() -> dict[str, Any]:
    """cpu (model), cores, memory_mb, machine, kernel, os; None for what this system does not say."""
    memory = _find("/proc/meminfo", r"MemTotal:\s+(\d+) kB")
    return {
        "cpu": _find("/proc/cpuinfo", r"model name\s*: (.+)") or platform.processor() or None,
        "cores": os.cpu_count(),
        "memory_mb": int(memory) // 1024 if memory else None,
        "machine": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "os": _find("/etc/os-release", r'PRETTY_NAME="?([^"\n]+)'),
    }


def _find(path: str, pattern: str) -> str | None:
    with contextlib.suppress(OSError):
        found = re.search(pattern, Path(path).read_text(encoding="utf-8", errors="replace"))
        return found[1].strip() if found else None
    return None
