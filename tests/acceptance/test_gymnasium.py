"""A job in a Gymnasium environment through the whole platform: its model plays CartPole to the end."""

import subprocess
from pathlib import Path

import requests

from services.platform import Platform, trainer_python
from tests.acceptance.viewers import Viewer, bearer

CARTPOLE = Path(__file__).resolve().parents[2] / "environments" / "cartpole"
BODY = {
    "agent_config": "", "env_config": {"agent_id": "1", "env_id": "cartpole", "num_of_areas": 8},
    "nn_model_config": {"behavior_name": "CartPole", "steps": 20_000},
}  # fmt: skip


def test_a_gymnasium_jobs_model_plays_cartpole_to_500(platform: Platform, tmp_path: Path) -> None:
    url, headers = f"{platform.url}/api/v1/train-jobs", bearer(platform.token)
    submitted = requests.post(url, json={**BODY, "seed": 1}, headers=headers, timeout=30)
    assert submitted.status_code == 200, submitted.text
    run_id = submitted.json()["run_id"]

    game = Viewer(platform.socket_url, {"run_id": run_id}, platform.token).finish()
    assert game.statuses == ["SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED"]
    assert len(game.metrics) == 20
    assert game.metrics[-1]["mean_reward"] > 10 * game.metrics[0]["mean_reward"]

    statistics = requests.get(f"{url}/{run_id}/metrics", headers=headers, timeout=30).json()[-1]["statistics"]
    assert {"Environment/Cumulative Reward", "Losses/Policy Loss", "Policy/Entropy"} <= {*statistics}
    model = tmp_path / "model.onnx"
    model.write_bytes(game.binaries[0])
    assert requests.get(f"{url}/{run_id}/nn-model", headers=headers, timeout=30).content == game.binaries[0]
    play = [trainer_python(), str(CARTPOLE / "play.py"), str(model)]
    assert float(subprocess.run(play, capture_output=True, text=True, check=True).stdout) == 500.0
