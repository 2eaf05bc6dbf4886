"""How much memory the platform's programs take, and how far it has grown."""

from pathlib import Path

from services.platform import Platform
from services.proc import pids_with_parent

PROGRAMS = ("web", "results", "recorder")


def pids(platform: Platform, name: str) -> list[int]:
    """Of a program: its process and its children."""
    top = platform.process(name).pid
    assert top
    return [top, *pids_with_parent(top)]


def kilobytes(pid: int, field: str) -> int:
    """A line of /proc/<pid>/status; 0 for a process that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field + ":")), 0)


class Growth:
    """From the moment it is made: by how many MB each process has grown at its peak."""

    def __init__(self, platform: Platform) -> None:
        self._processes = {(name, pid): 0 for name in PROGRAMS for pid in pids(platform, name)}
        for name, pid in self._processes:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is from now on
            self._processes[name, pid] = kilobytes(pid, "VmRSS")

    def megabytes(self) -> dict[str, float]:
        """The largest of each program's processes."""
        grown = dict.fromkeys(PROGRAMS, 0.0)
        for (name, pid), before in self._processes.items():
            grown[name] = max(grown[name], (kilobytes(pid, "VmHWM") - before) / 1024)
        return grown
