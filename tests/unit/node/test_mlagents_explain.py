"""What ML-Agents says at its end, and what a game developer reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.trainers.base import EnvironmentBuild, Evidence, TrainingOrder, TrainingRefused, load_trainer
from node.trainers.mlagents_explain import explain

ORDER = TrainingOrder("run-1", 1, "Walk", EnvironmentBuild(Path("/nowhere"), {}), 1000, 1, 1, 21_000)
CONNECTED = {"kind": "connected", "behaviours": ["Walk"]}


def say(*facts: dict[str, object], exit_code: int = 1) -> tuple[str, str] | None:
    refused = explain(ORDER, Evidence(exit_code, facts))
    return refused and (str(refused), refused.cause)


def error(kind: str, message: str) -> dict[str, object]:
    return {"kind": "error", "type": kind, "message": message}


@pytest.mark.parametrize(
    ("kind", "message", "sentence", "cause"),
    [
        ("UnityEnvironmentException", "Environment shut down with return code -11 (SIGSEGV).",
         "The environment ended (exit code -11) before it had connected to the trainer.", "user"),
        ("UnityWorkerInUseException", "Couldn't start socket communication",
         "The trainer's port was taken by another program.", "node"),
        ("OSError", "[Errno 8] Exec format error: '/x'",
         "The environment's executable is not a program that this machine can run.", "user"),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB",
         "The training ran out of memory.", "memory"),
        ("UnityEnvironmentException", "Environment shut down with return code -9 (SIGKILL).",
         "The environment was killed by the system, most likely for want of memory.", "memory"),
        ("RuntimeError", "The observations provided had Infinite values.",
         "The environment sent observations that are not finite numbers (Infinite).", "user"),
        ("ModuleNotFoundError", "No module named 'mlagents'",
         "This training node's Python has no mlagents installed.", "node"),
        ("KeyError", "'a\nb'", "The trainer stopped with an error: KeyError: 'a b'", "node"),
    ],
)  # fmt: skip
def test_an_error_becomes_one_sentence(kind: str, message: str, sentence: str, cause: str) -> None:
    assert say(error(kind, message)) == (sentence, cause)


def test_the_same_error_reads_differently_once_the_environment_was_connected() -> None:
    timeout = error("UnityTimeOutException", "took too long")
    assert say(timeout) == ("The environment started but did not connect to the trainer in time.", "user")
    assert say(CONNECTED, timeout) == ("The environment stopped answering in the middle of the training.", "stalled")


def test_braces_in_a_message_do_no_harm() -> None:
    assert say(error("TrainerConfigError", "{oops} {0}")) == (
        "The environment's configuration is not valid: {oops} {0}", "user",
    )  # fmt: skip


def test_a_reward_that_is_no_number_wins_over_its_consequences() -> None:
    assert say({"kind": "broken", "step": 500}, error("ValueError", "invalid loc")) == (
        "The environment's reward is not a finite number (at step 500).", "user",
    )  # fmt: skip


def test_an_environment_without_the_ordered_behaviour_is_named() -> None:
    assert say({"kind": "connected", "behaviours": ["Fly", "Swim"]}) == (
        'The environment has no agent with the behaviour "Walk" (it has: Fly, Swim).', "user",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words", "cause"),
    [(137, "want of memory", "memory"), (139, "signal 11", "node"), (1, "without a word (exit code 1)", "node")],
)
def test_a_trainer_that_says_nothing_is_explained_by_its_end(code: int, words: str, cause: str) -> None:
    found = say(exit_code=code)
    assert found
    assert words in found[0]
    assert found[1] == cause


@pytest.mark.parametrize("kind", ["finished", "interrupted"])
def test_a_good_end_needs_no_explanation(kind: str) -> None:
    assert say(CONNECTED, {"kind": kind}, exit_code=0) is None


def test_an_unknown_trainer_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="there is mlagents"):
        load_trainer("magic")
