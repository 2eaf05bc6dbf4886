"""The answer to a claim."""

import json

import pytest

from wire.codec import encode
from wire.jobs import JobSpec

SPEC = JobSpec("6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a", 2, "reach1d", "Reach1D", 20_000, 8, 7, "agent_config",
               "http://127.0.0.1/x", "ab" * 32)  # fmt: skip


def test_a_spec_comes_out_as_it_went_in() -> None:
    assert JobSpec.from_wire(json.loads(encode(SPEC.to_wire()))) == SPEC


def test_fields_of_a_newer_coordinator_are_ignored() -> None:
    assert JobSpec.from_wire(SPEC.to_wire() | {"deadline": 3}) == SPEC


def test_a_fresh_training_has_no_checkpoint() -> None:
    wire = {name: value for name, value in SPEC.to_wire().items() if not name.startswith("checkpoint")}
    assert JobSpec.from_wire(wire).checkpoint_url is None


def test_a_spec_without_its_steps_is_no_spec() -> None:
    with pytest.raises(TypeError, match="max_steps"):
        JobSpec.from_wire({name: value for name, value in SPEC.to_wire().items() if name != "max_steps"})
