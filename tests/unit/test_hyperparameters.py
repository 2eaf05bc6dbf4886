"""What a job may set of its trainer, and what a build may bring: each mistake is named with what would be right."""

from typing import Any

import pytest

from coordinator.errors import BadRequest
from coordinator.options.hyperparameters import check_build, check_job

ENTRY: dict[str, Any] = {
    "trainer_type": "ppo",
    "hyperparameters": {"batch_size": 256, "buffer_size": 1024, "learning_rate": "3e-4"},
    "network_settings": {"hidden_units": 64},
    "reward_signals": {"extrinsic": {"gamma": 0.97}, "gail": {"demo_path": "expert.demo"}},
}
RANGES = {"learning_rate": {"min": 1e-5, "max": 1e-2}, "network_settings.num_layers": {"values": [1, 2]}}


def behaviour(**entry: Any) -> dict[str, Any]:
    return {"configuration": {"behaviors": {"Walk": ENTRY | entry}}, "hyperparameters": RANGES}


def sentence(given: Any, **entry: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        check_job("mlagents", behaviour(**entry), "Walk", given)
    return caught.value.detail


def complaint(configuration: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        check_build("mlagents", {"configuration": configuration}, "Walk")
    return caught.value.detail


@pytest.mark.parametrize("given", [
    {}, {"learning_rate": 0.001, "batch_size": 512}, {"time_horizon": 128, "network_settings": {"num_layers": 2}},
    {"reward_signals": {"gail": {"strength": 0.5}, "curiosity": {"strength": 0.01}}}, {"learning_rate": 1e-3},
    {"self_play": {"window": 5}}, {"beta_schedule": "constant"}, {"batch_size": 64.0},
])  # fmt: skip
def test_what_ml_agents_knows_is_taken(given: dict[str, Any]) -> None:
    check_job("mlagents", behaviour(), "Walk", given)


@pytest.mark.parametrize(("given", "wrong"), [
    ({"learnin_rate": 1}, 'hyperparameters: there is no option "learnin_rate". Did you mean learning_rate?'),
    ({"hidden_units": 1}, 'hyperparameters: there is no option "hidden_units". '
                          "Did you mean network_settings.hidden_units?"),
    ({"network_settings": {"hiden_units": 3}},
     'hyperparameters.network_settings: there is no option "hiden_units". Did you mean hidden_units?'),
    ({"batch_size": "64"}, 'hyperparameters.batch_size must be a whole number, not "64".'),
    ({"batch_size": 1.5}, "hyperparameters.batch_size must be a whole number, not 1.5."),
    ({"batch_size": True}, "hyperparameters.batch_size must be a whole number, not true."),
    ({"batch_size": 0}, "hyperparameters.batch_size must be at least 1, not 0."),
    ({"batch_size": 2048}, "hyperparameters: batch_size 2048 may be at most buffer_size 1024."),
    ({"learning_rate": float("nan")}, "hyperparameters.learning_rate must be a number, not NaN."),
    ({"learning_rate": 1}, "hyperparameters.learning_rate must be between 1e-05 and 0.01 for this behaviour, not 1."),
    ({"network_settings": {"num_layers": 3}},
     "hyperparameters.network_settings.num_layers must be one of 1, 2 for this behaviour, not 3."),
    ({"beta_schedule": "cosine"}, 'hyperparameters.beta_schedule must be one of constant, linear, not "cosine".'),
    ({"network_settings": 5}, "hyperparameters.network_settings must be an object, not 5."),
    ({"network_settings": {"memory": {"memory_size": 7}}},
     "hyperparameters.network_settings.memory.memory_size must be a multiple of 2, not 7."),
    ({"network_settings": {"memory": {"sequence_length": 700}}},
     "hyperparameters: with memory, sequence_length 700 may be at most batch_size 256."),
    ({"behavioral_cloning": {"strength": 1}}, "hyperparameters.behavioral_cloning needs a demo_path."),
], ids=str)  # fmt: skip
def test_a_mistake_is_named_with_what_would_be_right(given: dict[str, Any], wrong: str) -> None:
    assert sentence(given) == wrong


@pytest.mark.parametrize(("ranges", "given", "wrong"), [
    ({"network_settings.normalize": {"values": [False]}}, {"network_settings": {"normalize": True}},
     "hyperparameters.network_settings.normalize must be one of false for this behaviour, not true."),
    ({"beta_schedule": {"values": ["linear"]}}, {"beta_schedule": "constant"},
     'hyperparameters.beta_schedule must be one of "linear" for this behaviour, not "constant".'),
    ({"beta": {"min": 0.1}}, {"beta": 0.01}, "hyperparameters.beta must be at least 0.1 for this behaviour, not 0.01."),
    ({"beta": {"max": 0.1}}, {"beta": 1}, "hyperparameters.beta must be at most 0.1 for this behaviour, not 1."),
])  # fmt: skip
def test_a_behaviour_allows_a_range_or_some_values(ranges: Any, given: Any, wrong: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_job("mlagents", behaviour() | {"hyperparameters": ranges}, "Walk", given)
    assert caught.value.detail == wrong


def test_a_range_of_what_is_no_number_allows_everything() -> None:
    check_job("mlagents", behaviour() | {"hyperparameters": {"beta_schedule": {"min": 1}}}, "Walk",
              {"beta_schedule": "constant"})  # fmt: skip


@pytest.mark.parametrize("name", [
    "max_steps", "checkpoint_interval", "keep_checkpoints", "even_checkpoints", "init_path", "threaded",
    "trainer_type", "demo_path",
])  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda its: its, lambda its: {"reward_signals": {"gail": its}}], ids=["top", "deep"])
def test_what_is_said_elsewhere_or_is_a_path_is_never_set(name: str, wrap: Any) -> None:
    assert f"{name} can't be set: " in sentence(wrap({name: "/etc/passwd"}))


def test_an_option_of_another_trainer_type_is_not_known() -> None:
    check_job("mlagents", behaviour(trainer_type="sac"), "Walk", {"tau": 0.01})
    assert 'there is no option "tau"' in sentence({"tau": 0.01})


@pytest.mark.parametrize("given", [{"x" * 60_000: 1}, {"batch_size": 10**400}, {"": {}}, {"batch_size": [[]] * 1000}])
def test_garbage_is_answered_in_a_short_sentence(given: dict[str, Any]) -> None:
    assert len(sentence(given)) < 600


def test_a_trainer_without_a_check_takes_none() -> None:
    with pytest.raises(BadRequest, match="takes none"):
        check_job("other", behaviour(), "Walk", {"a": 1})


def test_a_builds_configuration_is_read_as_ml_agents_reads_it() -> None:
    check_build("mlagents", behaviour(max_steps="5e5", hyperparameters={"learning_rate": "3e-4"}), "Walk")


@pytest.mark.parametrize(("configuration", "wrong"), [
    (None, "The environment's configuration of Walk does not contain `behaviors:`."),
    ({"behaviors": 3}, "The environment's configuration of Walk does not contain `behaviors:`."),
    ({"behaviors": {"Run": {}}}, "The environment's configuration of Walk has no entry 'Walk' in `behaviors:`."),
    ({"behaviors": {"Walk": 7}}, "The environment's configuration: each entry of `behaviors:` must be a mapping."),
    ({"behaviors": {"Walk": {"num_epochs": 3}}}, 'The environment\'s configuration: behaviors.Walk: there is no option '
     '"num_epochs". Did you mean hyperparameters.num_epoch?'),
    ({"behaviors": {"Walk": {"trainer_type": "dqn"}}},
     "The environment's configuration: trainer_type must be one of poca, ppo, sac, not 'dqn'."),
    ({"behaviors": {"Walk": {}}, "engine_setting": {}}, 'The environment\'s configuration: there is no option '
     '"engine_setting". Did you mean engine_settings or env_settings?'),
], ids=str)  # fmt: skip
def test_a_builds_mistake_is_named(configuration: Any, wrong: str) -> None:
    assert complaint(configuration) == wrong
