"""A job in a Gymnasium environment, as clients submit it and as nodes get it."""

from typing import Any

import pytest

from tests.jobs import URL, Client, body
from tests.played_node import PlayedNode

CARTPOLE = body(env_config__env_id="cartpole", nn_model_config__behavior_name="CartPole")


def test_a_node_is_told_the_trainer_of_the_environments_kind(
    client: Client, owner: dict[str, str], played: PlayedNode
) -> None:
    wanted = {"gamma": 0.9, "network_settings": {"hidden_units": 32}}
    answer = client.post(URL, json={**CARTPOLE, "hyperparameters": wanted}, headers=owner)
    assert answer.status_code == 200, answer.json
    assert played.post("/hello", {"slots": 1, "has": {"trainers": ["mlagents", "sb3"]}}).status_code == 200
    spec = played.claim(answer.json["run_id"]).json["spec"]
    assert (spec["trainer"], spec["hyperparameters"]) == ("sb3", wanted)


@pytest.mark.parametrize(("hyperparameters", "sentence"), [
    ({"gama": 0.9}, "hyperparameters: PPO has no option 'gama'. Its options: "),
    ({"gamma": 7}, "hyperparameters: gamma must be a number between 0 and 1, not '7'."),
    ({"time_horizon": 64}, "hyperparameters: PPO has no option 'time_horizon'."),
    ({"max_steps": 10**12}, "hyperparameters: PPO has no option 'max_steps'."),
])  # fmt: skip
def test_options_that_the_algorithm_does_not_have_are_refused(
    shared_client: Client, owner: dict[str, str], hyperparameters: dict[str, Any], sentence: str
) -> None:
    answer = shared_client.post(URL, json={**CARTPOLE, "hyperparameters": hyperparameters}, headers=owner)
    assert answer.status_code in (400, 422)
    assert answer.json["detail"].startswith(sentence)
