"""The random histories of the ledger once more, in numbers that find what is rare; the seed of a failure is printed."""

import random

from flask import Flask
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from coordinator.ledger import Told
from tests.conftest import Template
from tests.integration.test_ledger_model import Histories, histories
from tests.integration.test_ledger_writers import let_them_write

__all__ = ["histories"]
COMMANDS, ROUNDS = 200, 10


def test_whatever_happens_in_any_order_the_record_holds(histories: type[Histories]) -> None:
    run_state_machine_as_test(histories, settings=settings.get_profile("deep"))


def test_whatever_several_do_at_once_the_record_holds(
    app: Flask, pipeline: None, template: Template, told: list[Told]
) -> None:
    for _ in range(ROUNDS):
        seed = random.randrange(10**6)  # noqa: S311
        print(f"seed {seed}")
        let_them_write(app, template, told, seed, COMMANDS)
