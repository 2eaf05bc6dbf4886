"""Everything is hit at every moment of a job's life, and afterwards the same holds as ever."""

import pytest

from tests.faults.cells import Cell, all_cells
from tests.faults.conftest import Rigs


@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id) for cell in all_cells()])
def test_nothing_is_lost_hangs_or_runs_twice(rigs: Rigs, cell: Cell) -> None:
    try:
        cell.play(rigs.of(cell.trainer))
    except BaseException:
        rigs.drop()
        raise
