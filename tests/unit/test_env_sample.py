"""env.sample tells people what the code reads: every variable, no other, with the defaults that hold."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from flower.options import default_options  # type: ignore[import-untyped]

from coordinator.config import Config as CoordinatorConfig
from node.config import Config as NodeConfig
from services.stack import PORTS
from tests.deployment import Setting, compose_variables, procfile_variables, sample_settings
from wire.variables import convert

SERVICES = {*PORTS, "RABBITMQ_HOME", "RABBITMQ_ROOT"}
MADE_ON_THE_MACHINE = {"NODE_NAME", "TRAINER_PYTHON"}
SAMPLE = sample_settings()
CONFIGURED = [
    (spec.name.upper(), spec.default) for config in (CoordinatorConfig, NodeConfig) for spec in fields(config)
]
META = {spec.name.upper(): spec.metadata for config in (CoordinatorConfig, NodeConfig) for spec in fields(config)}
FLOWER = {name for name in SAMPLE if name.removeprefix("FLOWER_").lower() in default_options and "FLOWER_" in name}


def test_every_variable_that_is_read_is_in_the_sample() -> None:
    read = {name for name, _ in CONFIGURED} | SERVICES | {*compose_variables(), *procfile_variables()}
    assert read - {*SAMPLE} == set()


def test_every_variable_of_the_sample_is_read_somewhere() -> None:
    read = {name for name, _ in CONFIGURED} | SERVICES | {*compose_variables(), *procfile_variables()} | FLOWER
    assert {*SAMPLE} - read == set()


@pytest.mark.parametrize(("name", "default"), CONFIGURED)
def test_a_stated_default_is_the_one_that_holds(name: str, default: Any) -> None:
    setting = SAMPLE[name]
    if setting.is_set:  # it has no default: compose insists on it
        return
    if setting.value:
        assert convert(setting.value, type(default), META[name]) == default
    else:
        assert default == "" or name in MADE_ON_THE_MACHINE


@pytest.mark.parametrize(("name", "default"), procfile_variables().items())
def test_the_procfile_has_the_same_defaults(name: str, default: str) -> None:
    assert SAMPLE[name].value in (default, "" if name in MADE_ON_THE_MACHINE else default)


@pytest.mark.parametrize(("name", "setting"), SAMPLE.items())
def test_each_variable_has_a_line_that_says_what_it_means(name: str, setting: Setting) -> None:
    assert setting.meaning, f"{name} has no comment above it"


def test_only_what_compose_insists_on_counts_without_a_change() -> None:
    required = {name for name, forms in compose_variables().items() if any(mark == "?" for mark, _ in forms)}
    assert {name for name, setting in SAMPLE.items() if setting.is_set} == required


def test_no_password_in_the_sample_is_a_real_one() -> None:
    assert all("change-me" in setting.value for setting in SAMPLE.values() if setting.is_set)
