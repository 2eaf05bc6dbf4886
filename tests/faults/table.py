"""The matrix as people see it: a line for each cell as it comes, at the end a table, on the screen and in a file."""

from typing import Any

import pytest

from services.platform import ROOT
from tests.faults.cells import Cell, why_not
from tests.faults.moments import MOMENTS
from tests.faults.victims import COMPONENTS, HITS

FILE = ROOT / ".data" / "faults.txt"
NOT_PLAYED, CANNOT_BE = ".", "-"
WIDTH = 20


class Table:
    """A plug-in of pytest: hears of every cell."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cells: dict[str, Cell] = {}
        self._played: dict[tuple[str, str, str], str] = {}
        self._broken: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            cell = getattr(item, "callspec", None) and item.callspec.params.get("cell")  # type: ignore[attr-defined]
            if isinstance(cell, Cell):
                self._cells[item.nodeid] = cell

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            self._cells.pop(item.nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = self._cells.get(report.nodeid)
        if cell is None or (report.when != "call" and not report.failed):
            return
        sign = "✓" if report.passed else "✗"
        self._played[cell.component, cell.hit, cell.moment.name] = f"{sign} {report.duration:.1f} s"
        if report.failed:
            self._broken.append(f"{_name(cell)}: {_reason(report)}")
        self._say(f"[{len(self._played)}/{len(self._cells)}] {_name(cell)}: {sign} {report.duration:.1f} s")
        if report.failed:
            self._say(f"    {_reason(report)}")

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dots between the lines."""
        if report.nodeid not in self._cells or report.when != "call":
            return None
        return report.outcome, "", ""

    def pytest_terminal_summary(self) -> None:
        if self._played:
            text = "\n".join(self.lines()) + "\n"
            FILE.parent.mkdir(exist_ok=True)
            FILE.write_text(text)
            self._say(text)
            self._say(f"The same table is in {FILE}.")

    def _say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        reporter.ensure_newline()
        reporter.write_line(line)

    def lines(self) -> list[str]:
        """The table, what broke, and why some cells cannot be."""
        head = _row("", "", list(MOMENTS))
        rows = [_row(component, how, [self._entry(component, how, moment) for moment in MOMENTS])
                for component in COMPONENTS for how in HITS]  # fmt: skip
        legend = [f"✓ as it should be, ✗ broken, {NOT_PLAYED} not played this time, {CANNOT_BE} cannot be:"]
        impossible = sorted({f"  {why}" for component in COMPONENTS for how in HITS for moment in MOMENTS
                             if (why := why_not(component, how, moment))})  # fmt: skip
        broken = ["", "Broken:", *(f"  {line}" for line in self._broken)] if self._broken else []
        return ["", head, "-" * len(head), *rows, "", *legend, *impossible, *broken]

    def _entry(self, component: str, how: str, moment: str) -> str:
        if why_not(component, how, moment):
            return CANNOT_BE
        return self._played.get((component, how, moment), NOT_PLAYED)


def _row(component: str, how: str, entries: list[str]) -> str:
    return "  ".join([f"{component:12}", f"{how:16}", *(f"{entry:{WIDTH}}" for entry in entries)]).rstrip()


def _name(cell: Cell) -> str:
    return f"{cell.component}, {cell.hit}, {cell.moment.name}"


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return " ".join(text.removeprefix("AssertionError: ").split("\nassert ")[0].split())[:600]
