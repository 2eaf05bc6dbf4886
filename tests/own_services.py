"""Services of a module's own: its tests may kill them, and nobody else's work slows them down."""

from collections.abc import Iterator

import pytest

from services.stack import Stack
from tests.brokers import broker_of_tests


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Started, and gone without a trace at the end."""
    with broker_of_tests() as environ:
        running = Stack(tmp_path_factory.mktemp("services"), environ=environ)
        running.start()
        yield running
        running.kill()
