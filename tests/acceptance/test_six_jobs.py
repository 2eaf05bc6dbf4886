"""Six trainings at once on one node, each with an environment that talks: each viewer sees its own job only."""

import json
from itertools import pairwise
from typing import Any

import pytest
import requests

from services.platform import Platform
from tests.acceptance.viewers import BODY, Viewer, bearer
from tests.overhearing import Overhearing

AGENTS = ["ada", "bob", "cyd", "dan", "eve", "fay"]
STEPS = 2_000


class Run:
    """A job of one agent, watched from its first moment."""

    def __init__(self, platform: Platform, agent: str) -> None:
        self.url, self.headers, self.agent = f"{platform.url}/api/v1/train-jobs", bearer(platform.token), agent
        body = BODY | {
            "env_config": {"agent_id": agent, "env_id": "talkative", "num_of_areas": 4},
            "nn_model_config": {"behavior_name": "Reach1D", "steps": STEPS}, "seed": 1,
        }  # fmt: skip
        answer = requests.post(self.url, json=body, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        self.run_id = answer.json()["run_id"]
        self.viewer = Viewer(platform.socket_url, {"run_id": self.run_id}, platform.token)

    def get(self, path: str) -> requests.Response:
        answer = requests.get(f"{self.url}/{self.run_id}{path}", headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer

    def episode(self, number: int) -> list[bytes]:
        """Its messages, out of a JSON text sequence."""
        return [record[:-1] for record in self.get(f"/episodes/{number}").content.split(b"\x1e")[1:]]


@pytest.fixture(scope="module")
def runs(platform: Platform) -> list[Run]:
    made = [Run(platform, agent) for agent in AGENTS]
    for run in made:
        run.viewer.finish()
    return made


def actions(run: Run) -> list[dict[str, Any]]:
    return [message for message in run.viewer.messages if message["msg_id"] == 1]


def test_all_six_were_trained_at_the_same_time_to_their_end(runs: list[Run]) -> None:
    assert [run.viewer.statuses[-1] for run in runs] == ["SUCCEEDED"] * 6
    attempts = [run.get("").json()["attempts"] for run in runs]
    assert {attempt["node"] for its in attempts for attempt in its} == {"node"}
    assert max(its[0]["claimed_at"] for its in attempts) < min(its[0]["ended_at"] for its in attempts)


def test_what_nodes_and_coordinator_say_over_the_broker_is_as_the_document_of_messages_tells(
    runs: list[Run], overheard: Overhearing
) -> None:
    said = {"train-run", "training-facts", "state", "coord-outcome", "coord-finish", "coord-uploaded"}
    assert said <= {*overheard.heard}
    assert overheard.heard["coord-outcome"] >= len(runs)


def test_each_viewer_sees_its_own_job_only(runs: list[Run]) -> None:
    for run in runs:
        assert {message["agent_id"] for message in actions(run)} == {run.agent}


def test_the_states_come_in_the_order_in_which_they_happened(runs: list[Run]) -> None:
    for run in runs:
        seen = [(message["episodeCount"], message["stepCount"]) for message in actions(run)]
        assert len(seen) >= 40
        assert all(before < after for before, after in pairwise(seen))


def test_every_episode_can_be_replayed_byte_for_byte(runs: list[Run], platform: Platform) -> None:
    for run in runs:
        numbers = [episode["number"] for episode in run.get("/episodes?limit=1000").json()]
        assert numbers == list(range(1, len(numbers) + 1))
        recorded = [text for number in numbers[:3] + numbers[-1:] for text in run.episode(number)]
        assert not [text for text in recorded if text not in run.viewer.states]
        replay = Viewer(
            platform.socket_url, {"run_id": run.run_id, "episode": numbers[1], "speed": 0}, platform.token
        ).finish()
        assert (replay.texts, replay.close_code) == (run.episode(numbers[1]), 1000)


def test_what_was_recorded_is_all_that_was_said(runs: list[Run]) -> None:
    run = runs[0]
    numbers = [episode["number"] for episode in run.get("/episodes?limit=1000").json()]
    recorded = b"".join(run.get(f"/episodes/{number}").content for number in numbers)
    said = [json.loads(text) for text in run.viewer.states]
    assert [json.loads(text[:-1]) for text in recorded.split(b"\x1e")[1:]] == said


def test_the_trainings_were_not_disturbed(runs: list[Run]) -> None:
    """The same seed, six times: whatever they said, they learned the same."""
    curves = [[(it["step"], it["mean_reward"]) for it in run.get("/metrics").json()] for run in runs]
    assert curves[0]
    assert curves == [curves[0]] * 6
