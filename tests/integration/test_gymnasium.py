"""Trainings with Stable-Baselines3 in Gymnasium environments: every algorithm, good ends, bad ends."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.trainers.base import EnvironmentBuild, Evidence, Machine, TrainingOrder
from node.trainers.sb3 import SB3Trainer
from node.trainers.surroundings import trainer_environ

PROJECT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("gym_launches.py")
WORLDS = Path(__file__).parent / "environments" / "gym"
TRAINER_PYTHON = os.environ.get("TRAINER_PYTHON", str(PROJECT / ".venv-node" / "bin" / "python"))
MACHINE = Machine(TRAINER_PYTHON, {**os.environ, "NODE_TOKEN": "secret"}, connect_timeout_s=60)
BEHAVIOUR = "B"
CART = {"observation_shapes": [[4]], "actions": {"continuous": 0, "discrete": [2]}}
VECTOR = {"observation_shapes": [[3]], "actions": {"continuous": 0, "discrete": [2]}}
SMALL = {"learning_starts": 50, "batch_size": 16, "buffer_size": 1000}
ROLLOUT = {"n_steps": 50, "batch_size": 50, "n_epochs": 2}

Result = dict[str, Any]


def order_of(gym_id: str, algorithm: str, options: dict[str, Any] | None = None, **changes: Any) -> TrainingOrder:
    promised = changes.pop("promised", VECTOR)
    entry = {"algorithm": algorithm, "hyperparameters": options or {}}
    manifest = {
        "kind": "gymnasium", "gym_id": gym_id, "module": "gym_worlds",
        "behaviours": {BEHAVIOUR: {"configuration": {"behaviors": {BEHAVIOUR: entry}}, **promised}},
    }  # fmt: skip
    order = TrainingOrder("run-1", 1, BEHAVIOUR, EnvironmentBuild(WORLDS, manifest), 200, 1, 7, 0)
    return replace(order, **{"checkpoint_interval": 100, **changes})


GOOD = {
    "ppo": order_of("CartPole-v1", "PPO", ROLLOUT, promised=CART, num_of_areas=2, max_steps=400),
    "ppo again": order_of("CartPole-v1", "PPO", ROLLOUT, promised=CART, num_of_areas=2, max_steps=400),
    "ppo, another seed": order_of("CartPole-v1", "PPO", ROLLOUT, promised=CART, num_of_areas=2, max_steps=400, seed=8),
    "a2c": order_of("CartPole-v1", "A2C", promised=CART, num_of_areas=2),
    "dqn": order_of("CartPole-v1", "DQN", SMALL, promised=CART),
    "sac": order_of("Pendulum-v1", "SAC", SMALL,
                    promised={"observation_shapes": [[3]], "actions": {"continuous": 1, "discrete": []}}),
    "uneven": order_of("Uneven-v0", "PPO", ROLLOUT,
                       promised={"observation_shapes": [[3]], "actions": {"continuous": 2, "discrete": []}}),
    "image": order_of("Image-v0", "A2C", max_steps=20,
                      promised={"observation_shapes": [[3, 40, 48]], "actions": {"discrete": [3, 2]}}),
}  # fmt: skip
BAD = {
    "unknown": (order_of("Nowhere-v0", "PPO"), 'There is no Gymnasium environment "Nowhere-v0": '),
    "pieces": (order_of("Pieces-v0", "PPO"), "Observations of the kind Dict("),
    "unbounded": (order_of("Unbounded-v0", "PPO"), "Actions of the kind Box("),
    "raises": (order_of("Raises-v0", "PPO"), "The environment failed in step(): ValueError: the pole broke."),
    "leaves": (order_of("Leaves-v0", "PPO"), "The environment failed in step(): SystemExit: 3."),
    "not a number": (order_of("NotANumber-v0", "PPO"), "The environment's reward is not a finite number (nan)."),
    "huge": (order_of("Huge-v0", "PPO"), "The environment's reward is not a finite number (1e+308)."),
    "no image": (order_of("CartPole-v1", "PPO", {}, promised=CART, hyperparameters={"policy": "CnnPolicy"}),
                 "CnnPolicy needs images of at least 36 x 36 as observations."),
    "wrong shape": (order_of("WrongShape-v0", "PPO"), "The environment sent an observation of the shape [2], its space "
                                                      "promises [3]."),
    "does not fit": (order_of("Uneven-v0", "DQN", promised={}),
                     "DQN cannot train in this environment with these options: "),
    "other spaces": (order_of("CartPole-v1", "PPO"), "The environment observes [[4]], its manifest promises [[3]]."),
}  # fmt: skip
RESUMED = {
    "resumed": ("ppo", {"max_steps": 700}, True),
    "initialized": ("ppo", {"max_steps": 100}, False),
    "sac resumed": ("sac", {"max_steps": 300}, True),
    "of another shape": ("ppo", {"hyperparameters": {"network_settings": {"hidden_units": 8}}}, True),
    "of another algorithm": ("a2c", {}, True),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Of all orders, trained one after the other: the last ones go on from the checkpoints of the first."""
    folder = tmp_path_factory.mktemp("gym")
    bad = {name: order for name, (order, _) in BAD.items()}
    return launch(folder, {**GOOD, **bad, **going_on(folder), "garbage": garbage(folder)})


def going_on(folder: Path) -> dict[str, TrainingOrder]:
    orders = {}
    for name, (source, changes, is_resumed) in RESUMED.items():
        order = GOOD["ppo"] if name == "of another algorithm" else GOOD[source]
        path = checkpoint_of(folder, source)
        orders[name] = replace(order, **changes, **{"resume_from" if is_resumed else "initialize_from": path})
    return orders


def garbage(folder: Path) -> TrainingOrder:
    path = folder / "garbage.pt"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    return replace(GOOD["ppo"], resume_from=path)


def checkpoint_of(folder: Path, name: str) -> Path:
    """The last one: these trainings end exactly where they are to."""
    return folder / name / "results" / BEHAVIOUR / f"{BEHAVIOUR}-{GOOD[name].max_steps}.pt"


def launch(folder: Path, orders: dict[str, TrainingOrder]) -> dict[str, Result]:
    commands = {name: SB3Trainer().prepare(order, folder / name, MACHINE) for name, order in orders.items()}
    listed = [{"name": name, "workspace": str(command.cwd)} for name, command in commands.items()]
    (folder / "orders.json").write_text(json.dumps(listed))
    program = [TRAINER_PYTHON, str(PROGRAM), str(folder / "orders.json"), str(folder / "results.json")]
    environ = {**trainer_environ(MACHINE), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, Result] = json.loads((folder / "results.json").read_text())
    return results


def told(result: Result, kind: str) -> list[dict[str, Any]]:
    return [fact for fact in result["facts"] if fact["kind"] == kind]


def sentence(name: str, result: Result) -> str:
    """What a user reads of a training that failed."""
    refused = SB3Trainer().explain(GOOD["ppo"], Evidence(result["code"], tuple(result["facts"])))
    assert refused is not None, f"{name} did not fail"
    return str(refused)


@pytest.mark.parametrize("name", GOOD)
def test_every_algorithm_trains_a_model_that_decides_in_a_game_as_in_training(
    results: dict[str, Result], name: str
) -> None:
    result = results[name]
    assert (result["code"], result["model"] and result["model"]["error"]) == (0, None), result["facts"][-1]
    assert told(result, "finished")
    assert result["agrees"]
    assert GOOD[name].max_steps <= told(result, "checkpoint")[-1]["step"] < GOOD[name].max_steps + 100


def test_a_builds_folder_stays_as_it_came(results: dict[str, Result]) -> None:
    assert results["uneven"]["code"] == 0
    assert sorted(path.name for path in WORLDS.iterdir()) == ["gym_worlds.py"]


def test_the_same_seed_gives_the_same_model_and_checkpoint_and_another_one_does_not(results: dict[str, Result]) -> None:
    first, again, other = results["ppo"], results["ppo again"], results["ppo, another seed"]
    assert first["model"]["sha256"] == again["model"]["sha256"] != other["model"]["sha256"]
    assert first["checkpoints"] == again["checkpoints"]
    assert numbers(first) == numbers(again) != numbers(other)


def numbers(result: Result) -> list[Any]:
    return [(fact["step"], fact["mean_reward"], fact["statistics"]) for fact in told(result, "metrics")]


def test_metrics_have_the_names_of_ml_agents(results: dict[str, Result]) -> None:
    names = {name: {it for fact in told(results[name], "metrics") for it in fact["statistics"]} for name in GOOD}
    for name in ("ppo", "a2c", "dqn", "sac"):
        assert {"Environment/Episode Length", "Environment/Cumulative Reward", "Policy/Learning Rate"} <= names[name]
    assert {"Losses/Policy Loss", "Losses/Value Loss", "Policy/Entropy"} <= names["ppo"] & names["a2c"]
    assert {"Losses/Policy Loss", "Losses/Value Loss", "Policy/Entropy Coefficient"} <= names["sac"]
    steps = [fact["step"] for fact in told(results["ppo"], "metrics")]
    assert len(steps) == 20
    assert steps == sorted(steps)


def test_models_have_the_inputs_and_outputs_that_unity_looks_for(results: dict[str, Result]) -> None:
    image, uneven = results["image"]["model"], results["uneven"]["model"]
    assert image["inputs"] == {"obs_0": [-1, 3, 40, 48], "action_masks": [-1, 5]}
    assert image["outputs"] == {
        "version_number": [1], "memory_size": [1], "discrete_actions": [-1, 2], "discrete_action_output_shape": [1, 2],
        "deterministic_discrete_actions": [-1, 2],
    }  # fmt: skip
    assert uneven["inputs"] == {"obs_0": [-1, 3]}
    assert uneven["outputs"]["continuous_actions"] == uneven["outputs"]["deterministic_continuous_actions"] == [-1, 2]


@pytest.mark.parametrize("name", BAD)
def test_what_an_environment_does_wrong_is_said_in_a_sentence(results: dict[str, Result], name: str) -> None:
    found = sentence(name, results[name])
    assert found.startswith(BAD[name][1]), found
    assert "\n" not in found


def test_a_resumed_training_goes_on_at_the_checkpoints_step(results: dict[str, Result]) -> None:
    for source, name in (("ppo", "resumed"), ("sac", "sac resumed")):
        before, after = results[source], results[name]
        assert (after["code"], after["agrees"]) == (0, True), after["facts"][-1]
        steps = [fact["step"] for fact in told(after, "metrics")]
        assert told(before, "checkpoint")[-1]["step"] < steps[0] <= told(before, "checkpoint")[-1]["step"] + 50
    assert 700 <= told(results["resumed"], "checkpoint")[-1]["step"] < 800


def test_weights_of_another_job_are_taken_over_at_step_0(results: dict[str, Result]) -> None:
    assert told(results["initialized"], "metrics")[0]["step"] < 20
    assert told(results["initialized"], "checkpoint")[-1]["step"] == 100


@pytest.mark.parametrize(("name", "found"), [
    ("of another shape", 'The checkpoint to begin with does not fit the network, its part "action_net.weight" is of'),
    ("of another algorithm", "The checkpoint to begin with is of A2C, this training is of PPO."),
    ("garbage", "The checkpoint to begin with is damaged, or is none."),
])  # fmt: skip
def test_a_checkpoint_that_cannot_be_begun_with_is_refused(results: dict[str, Result], name: str, found: str) -> None:
    assert sentence(name, results[name]).startswith(found)
