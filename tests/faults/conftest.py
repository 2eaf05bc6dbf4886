"""Services and platforms for the faults: made when a cell asks for them, made anew after one that went wrong."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.stack import Stack
from tests.faults.rig import Rig
from tests.faults.table import Table


class Rigs:
    """At most one at a time: idle programs take the processors from those that are measured."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._made = ExitStack()
        self._rig: Rig | None = None

    def of(self, trainer: str) -> Rig:
        """The one there is, if it has that trainer."""
        if self._rig is None or self._rig.trainer != trainer:
            self.drop()
            stack = Stack(self._folder("services"), environ={})
            stack.start()
            self._made.callback(stack.kill)
            self._rig = self._made.enter_context(Rig(stack, self._folder("rig"), trainer))
        return self._rig

    def drop(self) -> None:
        """Ends it: the next one is new."""
        self._rig = None
        self._made.close()


@pytest.fixture(scope="session")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    made = Rigs(tmp_path_factory.mktemp)
    yield made
    made.drop()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table(config), "fault-matrix")
