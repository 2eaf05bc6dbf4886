"""What may be set for Stable-Baselines3: what is wrong is named, with what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.errors import BadRequest
from coordinator.options import hyperparameters
from wire.sb3 import ALGORITHMS, resolve

CARTPOLE = Path(__file__).parents[2] / "environments" / "cartpole" / "CartPole.yaml"
ENTRY: dict[str, Any] = {
    "algorithm": "PPO", "max_steps": 5, "summary_freq": 100, "hyperparameters": {"gamma": 0.9, "n_steps": 8},
    "network_settings": {"num_layers": 1},
}  # fmt: skip


def test_a_jobs_options_lie_over_the_behaviours() -> None:
    overlay = {"gamma": 0.5, "learning_rate": 0.1, "summary_freq": 7, "network_settings": {"hidden_units": 4}}
    assert resolve(ENTRY, overlay) == {
        "algorithm": "PPO", "summary_freq": 7, "network_settings": {"num_layers": 1, "hidden_units": 4},
        "hyperparameters": {"gamma": 0.5, "n_steps": 8, "learning_rate": 0.1},
    }  # fmt: skip


def test_the_behaviours_own_content_is_not_changed() -> None:
    resolve(ENTRY, {"gamma": 0.5})
    assert ENTRY["hyperparameters"]["gamma"] == 0.9


def test_cartpoles_configuration_is_valid() -> None:
    entry = yaml.safe_load(CARTPOLE.read_text())["behaviors"]["CartPole"]
    assert resolve(entry, {})["algorithm"] == "PPO"


@pytest.mark.parametrize(("overlay", "sentence"), [
    ({"gama": 1}, "PPO has no option 'gama'. Its options: "),
    ({"max_steps": 1}, "PPO has no option 'max_steps'."),
    ({"seed": 1}, "PPO has no option 'seed'."),
    ({"gamma": 1.5}, "gamma must be a number between 0 and 1, not '1.5'."),
    ({"gamma": float("nan")}, "gamma must be a number between 0 and 1, not 'nan'."),
    ({"gamma": "0.5"}, "gamma must be a number between 0 and 1, not '0.5'."),
    ({"gamma": True}, "gamma must be a number between 0 and 1, not 'True'."),
    ({"gamma": None}, "gamma must be"),
    ({"gamma": [1] * 100_000}, "gamma must be"),
    ({"n_steps": 2.5}, "n_steps must be a whole number between 1 and 1e+06, not '2.5'."),
    ({"normalize_advantage": 1}, "normalize_advantage must be true or false, not '1'."),
    ({"learning_rate_schedule": "cubic"}, "learning_rate_schedule must be constant or linear, not 'cubic'."),
    ({"policy": "os.system"}, "policy must be MlpPolicy or CnnPolicy, not 'os.system'."),
    ({"network_settings": {"layers": 2}}, "network_settings has no option 'layers'."),
    ({"network_settings": 3}, "network_settings must hold options by name, not '3'."),
    ({"buffer_size": 10}, "PPO has no option 'buffer_size'."),
])  # fmt: skip
def test_a_wrong_option_is_named_with_what_would_be_right(overlay: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^.{1,500}$") as caught:
        resolve(ENTRY, overlay)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("entry", [{}, {"algorithm": "TD3"}, {"algorithm": ["PPO"]}], ids=str)
def test_an_algorithm_that_there_is_not_is_answered_with_those_there_are(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="algorithm must be A2C, DQN, PPO, SAC, not"):
        resolve(entry, {})


@pytest.mark.parametrize("value", ["auto", 0.1])
def test_sac_may_choose_its_entropy_itself(value: Any) -> None:
    assert resolve({"algorithm": "SAC"}, {"ent_coef": value})["hyperparameters"] == {"ent_coef": value}


def test_no_option_names_a_path_a_class_or_a_seed() -> None:
    names = {name for options in ALGORITHMS.values() for name in options}
    assert not {"seed", "device", "env", "policy_kwargs", "tensorboard_log", "replay_buffer_class"} & names


def test_a_number_that_yaml_reads_as_text_is_a_number() -> None:
    entry = yaml.safe_load("{algorithm: PPO, hyperparameters: {learning_rate: 3e-4}}")
    assert resolve(entry, {})["hyperparameters"] == {"learning_rate": 3e-4}


def behaviour(entry: Any) -> dict[str, Any]:
    return {"configuration": {"behaviors": {"B": entry}}, "hyperparameters": {"gamma": {"min": 0.5, "max": 0.9}}}


def test_a_submitted_job_is_checked_for_its_trainer() -> None:
    hyperparameters.check_job("sb3", behaviour(ENTRY), "B", {"gamma": 0.6})
    with pytest.raises(BadRequest) as caught:
        hyperparameters.check_job("sb3", behaviour(ENTRY), "B", {"gama": 0.6})
    assert caught.value.detail.startswith("hyperparameters: PPO has no option 'gama'. Its options: batch_size, ")
    with pytest.raises(BadRequest, match=r"gamma must be between 0\.5 and 0\.9"):
        hyperparameters.check_job("sb3", behaviour(ENTRY), "B", {"gamma": 0.99})


@pytest.mark.parametrize(("entry", "sentence"), [
    ({"algorithm": "TD3"}, "The environment's configuration of B: algorithm must be A2C, DQN, PPO, SAC, not 'TD3'."),
    ({"algorithm": "PPO", "reward_signals": {}}, "The environment's configuration of B: PPO has no option "),
    (3, "The environment's configuration of B has no entry 'B' in `behaviors:`."),
])  # fmt: skip
def test_a_builds_configuration_is_checked_for_its_trainer(entry: Any, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        hyperparameters.check_build("sb3", behaviour(entry), "B")
    assert caught.value.detail.startswith(sentence)
