"""Which node fits which job, and what a job that waits is told."""

from typing import Any

import pytest

from coordinator.dispatching.placement import BUSY, NOBODY, Present, lacks, needs, queues_for, why_it_waits
from wire.jobs import Has
from wire.names import TRAIN_QUEUE, train_queue

PLAIN = Has(memory_mb=8_000)
LAB = Has(trainers=("mlagents", "sb3"), gpus=("A100",), memory_mb=4_000, labels=("a100", "lab-1"), slots=2)


@pytest.mark.parametrize(
    ("requires", "plain", "lab"),
    [
        ({}, None, None),
        ({"gpu": True}, "a GPU", None),
        ({"trainer": "sb3"}, "the trainer 'sb3'", None),
        ({"labels": ["lab-1", "a100"]}, "the label 'lab-1'", None),
        ({"labels": ["lab-2"]}, "the label 'lab-2'", "the label 'lab-2'"),
        ({"memory_mb": 8_000}, None, "8000 MB of memory for a job"),
    ],
)
def test_a_node_fits_or_the_first_thing_that_it_lacks_is_named(
    requires: dict[str, Any], plain: str | None, lab: str | None
) -> None:
    assert (lacks(PLAIN, requires), lacks(LAB, requires)) == (plain, lab)


def test_a_node_without_any_trainer_fits_nothing() -> None:
    assert lacks(Has(trainers=()), {}) == "the trainer 'mlagents'"
    assert queues_for(Has(trainers=()), [(TRAIN_QUEUE, {})]) == []


@pytest.mark.parametrize(
    ("requires", "why"),
    [
        ({}, None),
        ({"labels": ["b200"]}, "No node has the label 'b200'."),
        ({"trainer": "other"}, "No node has the trainer 'other'."),
        ({"memory_mb": 64_000}, "No node has 64000 MB of memory for a job; the largest has 8000 MB."),
        ({"gpu": True, "memory_mb": 6_000}, "No node has all of this together: a GPU, 6000 MB of memory for a job."),
    ],
)
def test_a_job_that_waits_is_told_what_no_node_has(requires: dict[str, Any], why: str | None) -> None:
    assert why_it_waits([Present("plain", PLAIN), Present("lab", LAB)], requires) == why


def test_a_job_is_told_that_no_node_has_a_gpu() -> None:
    assert why_it_waits([Present("plain", PLAIN)], {"gpu": True}) == "No node has a GPU."


def test_a_job_is_told_when_nobody_is_there_or_everybody_is_busy_or_full() -> None:
    assert why_it_waits([], {}) == NOBODY
    assert why_it_waits([Present("plain", PLAIN, trainings=1), Present("lab", LAB, trainings=2)], {}) == BUSY
    assert why_it_waits([Present("plain", PLAIN, trainings=1), Present("lab", LAB, trainings=1)], {}) is None
    full = Present("plain", Has(full="Its disk has 5 MB left."))
    assert why_it_waits([full], {}) == "No node that fits takes new trainings. plain: Its disk has 5 MB left."
    assert why_it_waits([full, Present("lab", LAB, trainings=2)], {}) == BUSY


def test_a_node_takes_from_its_trainers_queues_and_from_those_that_it_fits() -> None:
    waiting = [(train_queue(requires), requires) for requires in ({"gpu": True}, {"labels": ["x"]}, {"trainer": "sb3"})]
    assert queues_for(PLAIN, waiting) == [TRAIN_QUEUE]
    assert queues_for(LAB, waiting) == [TRAIN_QUEUE, train_queue({"trainer": "sb3"}), train_queue({"gpu": True})]


def test_what_is_asked_for_has_one_form() -> None:
    asked = needs({"labels": ["b", "a", "b"], "gpu": False, "memory_mb": 100, "surplus": 1}, "sb3")
    assert asked == {"labels": ["a", "b"], "memory_mb": 100, "trainer": "sb3"}
    assert needs({}, "mlagents") == {}


def test_what_a_node_has_survives_the_wire() -> None:
    assert Has.from_wire({**LAB.to_wire(), "labels": list(LAB.labels), "of tomorrow": 1}) == LAB
    assert Has.from_wire({}).trainers == ("mlagents",)
