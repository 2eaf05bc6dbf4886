"""Trainings in Gymnasium environments as nodes run them: tried, stopped, refused; no process is left of any."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.trainers.base import Ending, Evidence, TrainingOrder, TrainingRefused, load_trainer
from node.trainers.surroundings import trainer_environ
from node.training import train
from tests.integration.test_gymnasium import BEHAVIOUR, CART, MACHINE, ROLLOUT, TRAINER_PYTHON, VECTOR, WORLDS, order_of
from tests.integration.trainings import trainings

Fact = dict[str, Any]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = trainings()
    yield
    assert trainings() <= before


def run(order: TrainingOrder, workspace: Path, **options: Any) -> tuple[Ending, list[Fact]]:
    facts: list[Fact] = []
    options = {"on_fact": facts.append, "stop": threading.Event(), "machine": MACHINE, **options}
    return train(order, workspace, trainer="sb3", **options), facts


def test_a_stopped_training_keeps_its_model_and_its_last_checkpoint(tmp_path: Path) -> None:
    stop, checkpoints = threading.Event(), list[int]()
    endless = order_of("CartPole-v1", "PPO", ROLLOUT, promised=CART, max_steps=1_000_000, checkpoint_interval=2000)

    def stop_after_a_while(path: Path, step: int) -> None:
        assert path.is_file()
        checkpoints.append(step)
        stop.set()

    stopped, facts = run(endless, tmp_path / "1", stop=stop, on_checkpoint=stop_after_a_while)
    assert (stopped.status, stopped.error) == ("stopped", None)
    assert facts[:2] == [{"kind": "phase", "phase": phase} for phase in ("STARTING", "RUNNING")]
    files = {artifact.kind: artifact for artifact in stopped.artifacts}
    assert files["model"].manifest["opset"] == 9
    assert checkpoints[0] == 2000 <= files["checkpoint"].manifest["step"] == stopped.step


@pytest.mark.parametrize(("gym_id", "sentence"), [
    ("CartPole-v1", None),
    ("Hangs-v0", "The environment has not answered for 1 s."),
    ("Raises-v0", "The environment failed in step(): ValueError: the pole broke."),
    ("Uneven-v0", "The environment's actions are {'continuous': 2, 'discrete': []}, its manifest promises "),
])  # fmt: skip
def test_a_build_is_tried_before_it_is_trained_in(tmp_path: Path, gym_id: str, sentence: str | None) -> None:
    order = order_of(gym_id, "A2C", promised=CART if gym_id == "CartPole-v1" else VECTOR)
    patience = 1 if gym_id == "Hangs-v0" else 60
    asked = {
        "folder": str(WORLDS),
        "manifest": dict(order.environment.manifest),
        "connect_seconds": patience,
        "seed": 1,
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    program = [TRAINER_PYTHON, "-m", "node.trainers.gym_check", "asked.json"]
    with (tmp_path / "facts").open("wb") as facts:
        subprocess.run(
            program, cwd=tmp_path, env={**trainer_environ(MACHINE), "TRAINER_FACTS_FD": str(facts.fileno())},
            pass_fds=[facts.fileno()], check=False, capture_output=True, timeout=60,
        )  # fmt: skip
    (fact,) = [json.loads(line) for line in (tmp_path / "facts").read_text().splitlines()]
    assert fact["kind"] == "checked"
    assert (fact["error"] or "").startswith(sentence or "")
    assert (fact["error"], fact["cause"]) == (None, None) if sentence is None else fact["cause"] == "user"
    assert set(fact["found"]) == {BEHAVIOUR}


@pytest.mark.parametrize(("code", "connected", "sentence", "cause"), [
    (3, True, "The environment ended its trainer's process (exit code 3).", "user"),
    (137, True, "The trainer was killed by the system, most likely for want of memory.", "memory"),
    (139, True, "The trainer crashed (signal 11).", "node"),
    (1, False, "The trainer ended without a word (exit code 1).", "node"),
])  # fmt: skip
def test_a_trainer_that_ends_without_a_word_is_explained(code: int, connected: bool, sentence: str, cause: str) -> None:
    facts = ({"kind": "connected", "behaviours": [BEHAVIOUR]},) if connected else ()
    refused = load_trainer("sb3").explain(order_of("CartPole-v1", "A2C"), Evidence(code, facts))
    assert refused is not None
    assert (str(refused), refused.cause) == (sentence, cause)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"num_envs": 2}, "A Gymnasium environment runs inside its trainer: num_envs must be 1; num_of_areas makes more of "
                      "them."),
    ({"behaviour": "C"}, 'The environment has no behaviour "C".'),
    ({"hyperparameters": {"gama": 1}}, "The trainer's configuration is not valid: A2C has no option 'gama'."),
    ({"hyperparameters": {"gamma": 2}}, "The trainer's configuration is not valid: gamma must be a number between 0 "),
    ({"num_of_areas": 0}, "max_steps and num_of_areas must be at least 1, seed at least 0."),
])  # fmt: skip
def test_an_order_that_cannot_be_trained_is_refused_before_anything_starts(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(TrainingRefused) as caught:
        load_trainer("sb3").prepare(replace(order_of("CartPole-v1", "A2C"), **change), tmp_path / "1", MACHINE)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(("manifest", "sentence"), [
    ({"gym_id": None}, 'The environment\'s manifest names no "gym_id".'),
    ({"module": "../evil"}, "The environment's manifest names a module '../evil', which cannot be one."),
])  # fmt: skip
def test_a_manifest_that_names_nothing_to_train_in_is_refused(
    tmp_path: Path, manifest: dict[str, Any], sentence: str
) -> None:
    order = order_of("CartPole-v1", "A2C")
    build = replace(order.environment, manifest={**order.environment.manifest, **manifest})
    with pytest.raises(TrainingRefused) as caught:
        load_trainer("sb3").prepare(replace(order, environment=build), tmp_path / "1", MACHINE)
    assert str(caught.value) == sentence
