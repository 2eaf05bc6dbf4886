"""What whoever types `make fuzz` sees: a line for each operation and each thousand frames as it comes, then the sum."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pytest


class Tally:
    """A plug-in of pytest: counts what came back, and tells it."""

    def __init__(self, config: pytest.Config, *, is_shown: bool) -> None:
        self._config, self._is_shown = config, is_shown
        self._operations = 0
        self._statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._ends: Counter[str] = Counter()
        self._seed = 0
        self._memory: dict[str, tuple[float, float]] = {}

    # ---- what tests tell

    def answered(self, operation: str, status: int) -> None:
        self._statuses[operation][status] += 1

    def finished(self, operation: str, operations: int) -> None:
        """One of so many, whether well or badly."""
        counts = self._statuses[operation]
        self._say(f"[{len(self._statuses)}/{operations}] {operation}: {counts.total()} requests, {_listed(counts)}")

    def threw(self, ends: Mapping[str, int], cases: int, seed: int) -> None:
        """So many more random frames, of so many in all, made from that seed."""
        self._ends.update(ends)
        self._seed = seed
        self._say(f"WebSocket: {self._ends.total()} of {cases} cases (FUZZ_SEED={seed})")

    def measured(self, program: str, before_kb: int, after_kb: int) -> None:
        """How much memory a program's processes had."""
        self._memory[program] = before_kb / 1_000, after_kb / 1_000

    # ---- what people are told

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dots between the lines."""
        return ("passed", "", "") if self._is_shown and report.when == "call" and report.passed else None

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        findings = [*terminalreporter.stats.get("failed", []), *terminalreporter.stats.get("error", [])]
        for line in self.lines(len(findings)) if self._is_shown else []:
            self._say(line)

    def lines(self, findings: int) -> list[str]:
        """The sum of it."""
        verdict = f"{findings} findings: they stand above." if findings else "Nothing was found."
        return [*self._of_rest(), *self._of_frames(), *self._of_memory(), verdict]

    def _of_rest(self) -> list[str]:
        if not self._statuses:
            return []
        total: Counter[int] = sum(self._statuses.values(), Counter())
        never = sorted(name for name, its in self._statuses.items() if not any(200 <= status < 300 for status in its))
        failed = sum(count for status, count in total.items() if status >= 500)
        return [
            "",
            f"REST: {len(self._statuses)} operations, {total.total()} requests, {failed} answers of 500 and above.",
            f"  Statuses of the answers: {_listed(total)}.",
            *([f"  Never answered with success: {', '.join(never)}."] if never else []),
        ]

    def _of_frames(self) -> list[str]:
        if not self._ends:
            return []
        return [f"WebSocket: {self._ends.total()} connections with random frames, made from FUZZ_SEED={self._seed}.",
                f"  They ended so: {_listed(self._ends)}."]  # fmt: skip

    def _of_memory(self) -> list[str]:
        its = [f"{name} {before:.0f} MB → {after:.0f} MB" for name, (before, after) in self._memory.items()]
        return [f"Memory: {', '.join(its)}."] if its else []

    def _say(self, line: str) -> None:
        if self._is_shown:
            reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
            reporter.ensure_newline()
            reporter.write_line(line)


def _listed(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in counts.most_common())
