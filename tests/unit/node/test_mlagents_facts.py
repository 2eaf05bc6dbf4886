"""The lines that a running trainer writes to the node."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from node.trainers.facts import Facts
from node.trainers.mlagents_cures import serialized_descriptor
from node.trainers.mlagents_facts import StatsToFacts

REWARD = "Environment/Cumulative Reward"


@dataclass
class Summary:
    mean: float
    std: float = 0.5
    num: int = 3

    @property
    def aggregated_value(self) -> float:
        return self.mean


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def told(pipe: tuple[int, int], values: dict[str, Any]) -> dict[str, Any]:
    StatsToFacts(Facts(pipe[1])).write_stats("Walk", values, 1000)
    fact = json.loads(os.read(pipe[0], 65_536))
    assert isinstance(fact, dict)
    return fact


def test_a_summary_becomes_one_fact(pipe: tuple[int, int]) -> None:
    fact = told(pipe, {REWARD: Summary(0.25), "Losses/Value Loss": Summary(2.0), "Is Training": Summary(1.0)})
    assert (fact["kind"], fact["behaviour"], fact["step"]) == ("metrics", "Walk", 1000)
    assert (fact["mean_reward"], fact["std_reward"]) == (0.25, 0.5)
    assert fact["statistics"]["Losses/Value Loss"] == {"mean": 2.0, "std": 0.5, "num": 3}
    assert "Is Training" not in fact["statistics"]


def test_without_an_ended_episode_there_is_no_reward(pipe: tuple[int, int]) -> None:
    assert told(pipe, {"Losses/Value Loss": Summary(2.0)})["mean_reward"] is None


def test_other_statistics_that_are_no_numbers_are_left_out(pipe: tuple[int, int]) -> None:
    fact = told(pipe, {REWARD: Summary(1.0), "Losses/Value Loss": Summary(math.nan)})
    assert list(fact["statistics"]) == [REWARD]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number_is_told_as_broken(pipe: tuple[int, int], value: float) -> None:
    assert told(pipe, {REWARD: Summary(value)})["kind"] == "broken"


def test_values_of_a_strange_shape_do_not_end_the_training(pipe: tuple[int, int]) -> None:
    StatsToFacts(Facts(pipe[1])).write_stats("Walk", {REWARD: object()}, 1000)


def test_a_node_that_no_longer_listens_does_not_end_the_training() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    facts = Facts(writable)
    facts.tell("finished")
    facts.tell("finished")
    os.close(writable)


def test_a_generated_modules_descriptor_is_found_in_its_source() -> None:
    assert serialized_descriptor("D = FileDescriptor(name='x', serialized_pb=_b('\\n\\x12\\xff'))") == b"\n\x12\xff"
