"""What nodes say: taken where it keeps to the vocabulary, otherwise refused with a sentence, never with a crash."""

import json
from typing import Any
from uuid import UUID

import pytest

from wire.codec import encode
from wire.facts import (
    MAX_ERROR_CHARACTERS,
    MAX_LOG_CHARACTERS,
    Artifact,
    BadFact,
    Outcome,
    facts_from_wire,
    facts_to_wire,
)

RUN = UUID("6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a")
SHA256 = "0123456789abcdef" * 4
PHASE = {"kind": "phase", "phase": "RUNNING"}
METRIC: dict[str, Any] = {
    "kind": "metrics", "behaviour": "Reach1D", "step": 2_000, "time_elapsed": 3, "mean_reward": 0.5, "std_reward": None,
    "statistics": {"Losses/Policy Loss": {"mean": 0.02, "std": 0, "num": 3}},
}  # fmt: skip
ARTIFACT = {"kind": "model", "sha256": SHA256, "size": 10, "manifest": {"opset": 9}}
OUTCOME: dict[str, Any] = {"run_id": str(RUN), "attempt": 1, "status": "succeeded", "facts_sent": 2}
WRONG_NUMBERS: list[Any] = [None, "1", True, [], {}, float("nan"), float("inf"), 10**400, -(10**400)]
WRONG_COUNTS = [*WRONG_NUMBERS, -1, 0.5, 1.0, 2**53]
DEEP: Any = {}
for _ in range(500):
    DEEP = {"a": DEEP}


def event(*facts: Any, **fields: Any) -> dict[str, Any]:
    return facts_to_wire(RUN, 1, []) | {"facts": [{"n": n} | fact for n, fact in enumerate(facts, 1)]} | fields


def named(value: Any) -> str:
    return str(value)[:20] or "empty"


def test_facts_come_out_as_they_went_in() -> None:
    sent = json.loads(encode(facts_to_wire(RUN, 3, [(7, PHASE), (8, METRIC)])))
    phase, metric = facts_from_wire(sent)
    assert (phase.run_id, phase.attempt, phase.n, phase.kind, phase.body) == (RUN, 3, 7, "phase", {"phase": "RUNNING"})
    assert (metric.n, metric.kind) == (8, "metrics")
    assert metric.body == {name: value for name, value in METRIC.items() if name != "kind"}


def test_numbers_of_a_metric_are_floats_and_its_step_is_whole() -> None:
    (fact,) = facts_from_wire(event(METRIC))
    assert type(fact.body["time_elapsed"]) is float
    assert type(fact.body["statistics"]["Losses/Policy Loss"]["num"]) is float
    assert type(fact.body["step"]) is int


def test_fields_that_are_not_known_are_ignored() -> None:
    (fact,) = facts_from_wire(event(METRIC | {"new": DEEP}, hostname="node", clock=3))
    assert "new" not in fact.body


@pytest.mark.parametrize("facts", [None, [], {}, "x", 3, [None], [3], ["x"], [[]]], ids=named)
def test_an_event_without_a_list_of_facts_is_refused(facts: Any) -> None:
    with pytest.raises(BadFact, match=r"\.$"):
        facts_from_wire(event() | {"facts": facts})


@pytest.mark.parametrize("run_id", [None, "", "x", 3, DEEP, "6f1f3d2e"], ids=named)
def test_an_event_of_no_run_is_refused(run_id: Any) -> None:
    with pytest.raises(BadFact, match="run_id must be a UUID"):
        facts_from_wire(event(PHASE, run_id=run_id))


@pytest.mark.parametrize("attempt", [*WRONG_COUNTS, 0], ids=named)
def test_an_event_of_no_attempt_is_refused(attempt: Any) -> None:
    with pytest.raises(BadFact, match="attempt must be a whole number"):
        facts_from_wire(event(PHASE, attempt=attempt))


@pytest.mark.parametrize("kind", [None, "", "actions", 3, [], {}], ids=named)
def test_a_fact_of_an_unknown_kind_is_refused(kind: Any) -> None:
    with pytest.raises(BadFact, match="kind must be phase, metrics or log"):
        facts_from_wire(event({"kind": kind}))


@pytest.mark.parametrize("phase", [None, "", "running", "SUCCEEDED", 3, [], {}], ids=named)
def test_an_unknown_phase_is_refused(phase: Any) -> None:
    with pytest.raises(BadFact, match="phase must be one of STARTING, RUNNING"):
        facts_from_wire(event({"kind": "phase", "phase": phase}))


@pytest.mark.parametrize("value", WRONG_NUMBERS, ids=named)
@pytest.mark.parametrize("field", ["time_elapsed", "mean_reward", "std_reward"])
def test_a_metric_that_is_no_finite_number_is_refused(field: str, value: Any) -> None:
    if value is None and field != "time_elapsed":
        return  # no episode has ended: that is said with a null
    with pytest.raises(BadFact, match=f"{field} must be a finite number"):
        facts_from_wire(event(METRIC | {field: value}))


@pytest.mark.parametrize("value", WRONG_COUNTS, ids=named)
@pytest.mark.parametrize("field", ["step", "n"])
def test_a_count_that_is_no_whole_number_is_refused(field: str, value: Any) -> None:
    with pytest.raises(BadFact, match=f"{field} must be a whole number"):
        facts_from_wire(event(METRIC | {field: value}))


@pytest.mark.parametrize("behaviour", [None, "", 3, "x" * 201, []], ids=named)
def test_a_behaviour_without_a_name_is_refused(behaviour: Any) -> None:
    with pytest.raises(BadFact, match="behaviour must be a name"):
        facts_from_wire(event(METRIC | {"behaviour": behaviour}))


@pytest.mark.parametrize("statistics", [
    [1], "x", 3, {"a": 1}, {"a": [1]}, {"a": DEEP}, {"a": {"mean": "x"}}, {"a": {"mean": float("nan")}},
    {"a": {"mean": 10**400}}, {str(n): {} for n in range(257)},
], ids=named)  # fmt: skip
def test_statistics_that_are_not_numbers_by_name_are_refused(statistics: Any) -> None:
    with pytest.raises(BadFact, match=r"\.$"):
        facts_from_wire(event(METRIC | {"statistics": statistics}))


def test_an_outcome_comes_out_as_it_went_in() -> None:
    sent = Outcome(RUN, 2, "failed", 5, "It broke.", 900, -0.5, "log", (Artifact("model", SHA256, 10, {"opset": 9}),))
    assert Outcome.from_wire(json.loads(encode(sent.to_wire()))) == sent


def test_an_outcome_needs_no_more_than_its_name_status_and_number_of_facts() -> None:
    assert Outcome.from_wire(OUTCOME) == Outcome(RUN, 1, "succeeded", 2)


@pytest.mark.parametrize(("field", "value"), [
    ("run_id", "x"), ("run_id", None), ("attempt", 0), ("attempt", "1"), ("status", "SUCCEEDED"), ("status", None),
    ("status", []), ("facts_sent", -1), ("facts_sent", None), ("steps", 1.5), ("steps", None), ("mean_reward", "x"),
    ("mean_reward", float("nan")), ("mean_reward", 10**400), ("artifacts", {"a": 1}), ("artifacts", [ARTIFACT] * 65),
    ("artifacts", [3]), ("artifacts", [None]), ("artifacts", "model"),
], ids=named)  # fmt: skip
def test_a_bad_outcome_is_refused_with_a_sentence(field: str, value: Any) -> None:
    with pytest.raises(BadFact, match=r"^[A-Za-z].+\.$"):
        Outcome.from_wire(OUTCOME | {field: value})


@pytest.mark.parametrize("message", [None, [], "x", 3, True])
def test_what_is_no_object_is_no_outcome(message: Any) -> None:
    with pytest.raises(BadFact, match="must be a JSON object"):
        Outcome.from_wire(message)


@pytest.mark.parametrize(("field", "value"), [
    ("sha256", None), ("sha256", ""), ("sha256", SHA256[:-1]), ("sha256", SHA256.upper()), ("sha256", "g" * 64),
    ("sha256", "../" + SHA256[3:]),
    ("kind", "logs"), ("kind", "../model"), ("name", "../model"), ("name", "a/b"), ("step", -1),
    ("kind", None), ("kind", []), ("size", -1),
    ("size", "10"), ("size", None), ("size", 1.5), ("manifest", [1]), ("manifest", "x"),
    ("manifest", {"x": float("inf")}), ("manifest", {"x": "\0"}), ("manifest", {"x": "y" * 300_000}),
    ("manifest", {"x": "\ud800"}),
], ids=named)  # fmt: skip
def test_a_bad_artifact_is_refused_with_a_sentence(field: str, value: Any) -> None:
    with pytest.raises(BadFact, match=r"^An artifact.+\.$"):
        Artifact.from_wire(ARTIFACT | {field: value})


def test_texts_are_cut_to_their_bounds_and_freed_of_nul() -> None:
    said = Outcome.from_wire(OUTCOME | {"error": "\0" + "e" * 10_000, "log_tail": "l\0" * 100_000})
    assert said.error == "e" * MAX_ERROR_CHARACTERS
    assert said.log_tail == "l" * MAX_LOG_CHARACTERS


@pytest.mark.parametrize("error", [None, "", "\0"], ids=repr)
def test_no_text_is_no_error(error: Any) -> None:
    assert Outcome.from_wire(OUTCOME | {"error": error}).error is None


def test_text_that_no_database_takes_is_made_harmless() -> None:
    said = Outcome.from_wire(OUTCOME | {"error": "half \ud800 a character", "log_tail": "\udfff"})
    assert said.error is not None
    assert (said.error + said.log_tail).encode() == b"half ? a character?"
