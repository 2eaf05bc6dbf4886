"""The same run again, for real: two of the same seed and a rerun are bit-identical, and a resumed run has no seam."""

import itertools
from typing import Any

import pytest
import requests

from services.platform import Platform, wait_until
from tests.acceptance.viewers import BODY, bearer

STEPS, MORE = 2_000, 1_000
TRAINED = {"nn_model_config": {"behavior_name": "Reach1D", "steps": STEPS}, "seed": 11,
           "hyperparameters": {"learning_rate": 0.002, "network_settings": {"hidden_units": 32}}}  # fmt: skip
SECONDS = 120


class Owner:
    """A user of the platform."""

    def __init__(self, platform: Platform) -> None:
        self._url, self._headers = f"{platform.url}/api/v1/train-jobs", bearer(platform.token)

    def post(self, path: str = "", **body: Any) -> dict[str, Any]:
        answer = requests.post(self._url + path, json=body, headers=self._headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def get(self, run_id: str, path: str = "") -> Any:
        answer = requests.get(f"{self._url}/{run_id}{path}", headers=self._headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.content if path == "/nn-model" else answer.json()

    def wait_for(self, run_id: str) -> dict[str, Any]:
        """Its end, which is a success."""
        ended = ("SUCCEEDED", "FAILED", "CANCELLED")
        wait_until(lambda: self.get(run_id)["state"] in ended, SECONDS, f"the end of run {run_id}")
        job = dict(self.get(run_id))
        assert (job["state"], job["error"]) == ("SUCCEEDED", None), job["log_tail"]
        return job


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Owner:
    return Owner(platform)


@pytest.fixture(scope="module")
def run_id(owner: Owner) -> str:
    """A run that has succeeded."""
    run_id = str(owner.post(**BODY | TRAINED)["run_id"])
    owner.wait_for(run_id)
    return run_id


def test_two_runs_with_the_same_seed_give_the_same_metrics_and_model(owner: Owner, run_id: str) -> None:
    other = owner.wait_for(owner.post(**BODY | TRAINED)["run_id"])["run_id"]
    assert owner.get(other, "/nn-model") == owner.get(run_id, "/nn-model")
    assert measured(owner.get(other, "/metrics")) == measured(owner.get(run_id, "/metrics"))
    assert owner.get(other, "/bundle") == owner.get(run_id, "/bundle")


def test_a_rerun_is_told_to_be_bit_identical(owner: Owner, run_id: str) -> None:
    rerun = owner.post(f"/{run_id}/rerun")
    comparison = owner.wait_for(rerun["run_id"])["comparison"]
    assert comparison["identical"] is True
    assert comparison["metrics"]["summaries"][0] >= 10
    assert comparison["model"]["then"] == comparison["model"]["now"]
    assert comparison["differences"] == []
    assert comparison["summary"].startswith("Bit-identical: ")


def test_what_was_used_comes_back_as_it_was_resolved(owner: Owner, run_id: str) -> None:
    settings = owner.get(run_id, "/configuration")["behaviors"]["Reach1D"]
    assert (settings["max_steps"], settings["hyperparameters"]["learning_rate"]) == (STEPS, 0.002)
    assert settings["network_settings"]["hidden_units"] == 32
    assert settings["hyperparameters"]["epsilon_schedule"] == "linear"  # which nobody has said
    assert owner.get(run_id, "/bundle")["packages"]["torch"].startswith("2.")


def test_a_resumed_run_trains_as_many_steps_more_without_gap_or_overlap(owner: Owner, run_id: str) -> None:
    before = owner.get(run_id)["steps_trained"]
    asked = BODY | {"nn_model_config": {"behavior_name": "Reach1D", "steps": MORE}, "run_id": run_id}
    owner.post(**asked)
    after = owner.wait_for(run_id)["steps_trained"]
    assert before + MORE <= after <= before + MORE + 8 * 8 * 64  # at most what all agents had begun
    assert owner.get(run_id, "/configuration")["behaviors"]["Reach1D"]["max_steps"] == before + MORE
    steps = [metric["step"] for metric in owner.get(run_id, "/metrics")]
    assert steps == sorted(set(steps))
    often = MORE // 20
    assert all(next_one - one <= max(often, STEPS // 20) for one, next_one in itertools.pairwise(steps))


def measured(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what a clock says."""
    return [{name: value for name, value in it.items() if name != "time_elapsed"} for it in metrics]
