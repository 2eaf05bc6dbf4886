"""What the bridge says to builds, what it passes on of theirs, and where an episode begins in it."""

from __future__ import annotations

import json

import pytest

from node.bridge import words
from node.bridge.episodes import EpisodeRule
from wire.jobs import JobSpec

SPEC = JobSpec("run-1", 1, "reach1d@1.0.0", "RobotWave", 70_000, 8, 1, "agent_config", "1", 50_000, "RESUME")
BEGIN = '{"msg_id":4}'


def test_the_job_is_told_as_the_game_asked_for_it() -> None:
    config = json.loads(words.config(words.train_job(SPEC, "https://central.example:8443/api")))
    job = config["train_job"]
    assert config["msg_id"] == "3"
    assert job.pop("centra_node_id") == words.train_job(SPEC, "https://central.example:8443/api")["centra_node_id"]
    assert job == {
        "central_node_url": "central.example:8443", "run_id": "run-1", "job_type": "RESUME",
        "nn_model_config": {"behavior_name": "RobotWave", "steps": 50_000}, "agent_config": "agent_config",
        "env_config": {"agent_id": "1", "env_id": "reach1d@1.0.0", "num_of_areas": 8},
    }  # fmt: skip


@pytest.mark.parametrize("text", ['{"msg_id":1}', '{"msg_id":"1","x":[{}]}', ' {"a" : "ü\\u0000", "msg_id" : 4 }\n'])
def test_actions_and_episodes_are_passed_on_as_they_came(text: str) -> None:
    assert words.read(text).content == text.encode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The message is not valid JSON"),
        ("nonsense", "The message is not valid JSON"),
        ("[1]", "The message must be a JSON object, not list."),
        ('"msg_id"', "The message must be a JSON object, not str."),
        ('{"msg_id":1,"reward":NaN}', "NaN is not a number"),
        ('{"msg_id":1,"reward":1e999}', "1e999 is not a number"),
        ('{"msg_id":1,"n":' + "9" * 5_000 + "}", "The message is not valid JSON"),
        ("[" * 100_000, "The message is nested too deeply."),
        ("{}", "msg_id must be 1 or 4, not 'None'."),
        ('{"msg_id":true}', "msg_id must be 1 or 4, not 'True'."),
        ('{"msg_id":0}', "msg_id must be 1 or 4, not '0'."),
        ('{"msg_id":2,"status":"SUCCEEDED"}', "msg_id must be 1 or 4, not '2'."),
        ('{"msg_id":"11"}', "msg_id must be 1 or 4, not '11'."),
        ('{"msg_id":[1]}', "msg_id must be 1 or 4, not '[1]'."),
    ],
)
def test_what_a_game_could_not_read_is_not_passed_on(text: str, sentence: str) -> None:
    with pytest.raises(words.NotRelayed, match=sentence.replace("[", r"\[").replace("(", r"\(")):
        words.read(text)


@pytest.mark.parametrize(
    ("said", "begins"),
    [
        ([BEGIN, "{}", "{}", BEGIN, "{}"], [0, 3]),  # as the protocol has it
        (["{}", "{}", BEGIN, "{}"], [0, 2]),  # what comes before the first begin is an episode, too
        (['{"episodeCount":3}', '{"episodeCount":3}', '{"episodeCount":4}'], [0, 2]),
        ([BEGIN, '{"episodeCount":1}', BEGIN, '{"episodeCount":2}'], [0, 2]),  # both are said: one episode each
        ([BEGIN, '{"episodeCount":1}', '{"episodeCount":2}'], [0, 2]),
        (['{"episodeCount":1}', "{}", '{"episodeCount":1}'], [0]),
        (['{"episodeCount":1}', '{"episodeCount":true}', '{"episodeCount":"2"}', '{"episodeCount":1.5}'], [0]),
        ([BEGIN, BEGIN], [0, 1]),
    ],
)
def test_an_episode_begins_where_the_build_says_so(said: list[str], begins: list[int]) -> None:
    rule = EpisodeRule()
    heard = [words.read(json.dumps({"msg_id": 1} | json.loads(text))) for text in said]
    assert [number for number, word in enumerate(heard) if rule.begins(word)] == begins
