"""One machine for all of the guide's tests, which end as they begin: with an installation that trains."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.deploy.guide import Machine


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    with Machine(tmp_path_factory.mktemp("machine")) as made:
        yield made
