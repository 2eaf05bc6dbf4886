"""The fault matrix leaves no cell out without a word, and its table shows each."""

from types import SimpleNamespace
from typing import Any

from tests.faults.cells import all_cells, why_not
from tests.faults.moments import MOMENTS
from tests.faults.table import Table
from tests.faults.victims import COMPONENTS, HITS


def test_each_cell_is_played_once_or_cannot_be_for_a_reason() -> None:
    played = [(cell.component, cell.hit, cell.moment.name) for cell in all_cells()]
    cells = {(component, how, moment) for component in COMPONENTS for how in HITS for moment in MOMENTS}
    assert len(played) == len(set(played))
    assert set(played) == {cell for cell in cells if why_not(*cell) is None}
    assert len(cells) == 176


def test_a_part_of_the_matrix_is_chosen_by_the_words_of_its_cells() -> None:
    ids = [cell.id for cell in all_cells()]
    assert "recorder-SIGKILL-before_the_claim" in ids
    assert "pool_child-SIGSTOP+SIGCONT-at_the_outcome" in ids


def test_the_table_has_a_row_for_each_component_and_hit_and_says_what_broke() -> None:
    cell = next(cell for cell in all_cells() if cell.component == "recorder")
    said: list[str] = []
    table = Table(config_that_hears(said))
    table.pytest_collection_modifyitems([SimpleNamespace(nodeid="1", callspec=SimpleNamespace(params={"cell": cell}))])
    table.pytest_runtest_logreport(report("It was lost."))
    lines = table.lines()
    assert len([line for line in lines if line.startswith(COMPONENTS)]) == len(COMPONENTS) * len(HITS)
    assert lines[-1] == f"  {cell.component}, {cell.hit}, {cell.moment.name}: It was lost."
    assert said == [f"[1/1] {cell.component}, {cell.hit}, {cell.moment.name}: ✗ 3.0 s", "    It was lost."]


def report(broken: str) -> Any:
    crash = SimpleNamespace(message=f"AssertionError: {broken}\nassert 1 == 2")
    return SimpleNamespace(
        nodeid="1", when="call", failed=True, passed=False, duration=3.0, longrepr=SimpleNamespace(reprcrash=crash)
    )


def config_that_hears(said: list[str]) -> Any:
    reporter = SimpleNamespace(ensure_newline=lambda: None, write_line=said.append)
    return SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda name: reporter))
