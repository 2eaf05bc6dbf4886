"""From a submit to the trained model in the game, watched by several games at once."""

import hashlib
import io
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from services.platform import Platform, trainer_python
from services.stack import Stack
from tests.acceptance.viewers import BODY, Viewer, bearer, submit


class Training:
    """One real training of 20 000 steps, with everybody who watched it."""

    def __init__(self, platform: Platform) -> None:
        self.url, self.token = f"{platform.url}/api/v1/train-jobs", platform.token
        where = platform.socket_url
        self.job = submit(platform.url, platform.token)
        self.run_id = self.job["run_id"]
        self.game = Viewer(where, {"run_id": self.run_id})  # as games in the field: one message, no token
        self.leaver = Viewer(where, {"run_id": self.run_id}, self.token, leave_after=6)
        self.leaver.finish()
        self.late = Viewer(where, {"run_id": self.run_id}, self.token)
        self.resumed = Viewer(where, {"run_id": self.run_id, "after": self.leaver.seqs[-1], "token": self.token})
        for viewer in (self.game, self.late, self.resumed):
            viewer.finish()

    def get(self, path: str = "", token: bool = True) -> requests.Response:
        return requests.get(f"{self.url}/{self.run_id}{path}", headers=bearer(self.token) if token else {}, timeout=30)

    @property
    def model(self) -> bytes:
        return self.game.binaries[0]


@pytest.fixture(scope="module")
def training(platform: Platform) -> Training:
    return Training(platform)


def test_the_submit_is_answered_with_the_job_as_games_read_it(training: Training) -> None:
    job = training.job
    assert job["job_status"] == "SUBMITTED"
    assert job["job_type"] == "CREATE"
    assert {name: job[name] for name in BODY} == BODY


def test_the_game_sees_every_status_in_order(training: Training) -> None:
    assert training.game.statuses == ["SUBMITTED", "RETRIEVED", "STARTING", "RUNNING", "SUCCEEDED"]


def test_the_game_gets_a_metric_for_every_summary(training: Training) -> None:
    metrics = training.game.metrics
    assert len(metrics) >= 10
    steps = [metric["step"] for metric in metrics]
    assert steps == sorted(set(steps))
    for metric in metrics:
        assert metric["behaviour"] == "Reach1D"
        assert all(isinstance(metric[name], float) for name in ("time_elapsed", "mean_reward", "std_reward"))


def test_the_game_sees_all_that_its_agent_does_and_it_can_be_seen_again(training: Training) -> None:
    episodes = training.get("/episodes?limit=1000").json()
    kept = [training.get(f"/episodes/{episode['number']}").content for episode in episodes[:3]]
    said = [record.removesuffix(b"\n") for content in kept for record in content.split(b"\x1e")[1:]]
    assert {json.loads(state)["msg_id"] for state in training.game.states} == {1, 4}
    assert len(said) > 3
    assert said == training.game.states[: len(said)]


def test_the_agent_has_learned(training: Training) -> None:
    rewards = [metric["mean_reward"] for metric in training.game.metrics]
    assert rewards[0] < 0.3
    assert rewards[-1] > 0.8


def test_the_model_comes_last_as_one_binary_message_and_then_the_server_says_good_bye(training: Training) -> None:
    assert training.game.order.count("binary") == 1
    assert training.game.order[-1] == "binary"
    assert training.game.close_code == 1000


def test_the_sequence_has_no_gap_for_anybody(training: Training) -> None:
    whole = training.game.seqs
    assert whole == list(range(1, len(whole) + 1))
    assert training.late.told == training.game.told
    assert training.leaver.told + training.resumed.told == training.game.told


def test_everybody_who_stayed_gets_the_same_model(training: Training) -> None:
    assert training.late.binaries == training.resumed.binaries == training.game.binaries


def test_a_game_that_comes_after_the_end_gets_it_all(training: Training, platform: Platform) -> None:
    afterwards = Viewer(platform.socket_url, {"run_id": training.run_id}).finish()
    assert afterwards.told == training.game.told
    assert afterwards.binaries == [training.model]
    assert afterwards.close_code == 1000


def test_the_model_can_be_fetched_with_and_without_a_token(training: Training) -> None:
    for answer in (training.get("/nn-model"), training.get("/nn-model", token=False)):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert "filename=model.onnx" in answer.headers["Content-Disposition"]
        assert answer.content == training.model


def test_the_model_in_s3_is_the_same(training: Training, shared_corner: Stack) -> None:
    env = shared_corner.env
    s3: Any = boto3.client(
        "s3", endpoint_url=env["S3_ENDPOINT_URL"], aws_access_key_id=env["S3_ACCESS_KEY_ID"], region_name="us-east-1",
        aws_secret_access_key=env["S3_SECRET_ACCESS_KEY"],
    )  # fmt: skip
    key = f"artifacts/{training.run_id}/1/{hashlib.sha256(training.model).hexdigest()}/model.onnx"
    assert s3.get_object(Bucket=env["S3_BUCKET"], Key=key)["Body"].read() == training.model


def test_the_bundle_holds_the_model_and_the_metrics_as_strings(training: Training) -> None:
    bundle = read_bundle(training.get("/train-results").content)
    assert bundle["model.onnx"] == training.model
    lines = [json.loads(line) for line in json.loads(bundle["metrics.json"])]
    fields = ("msg_id", "behaviour", "step", "time_elapsed", "mean_reward", "std_reward")
    assert lines == [{name: metric[name] for name in fields} for metric in training.game.metrics]


def test_every_statistic_is_kept(training: Training) -> None:
    kept = {name for metric in training.get("/metrics").json() for name in metric["statistics"]}
    assert {"Losses/Policy Loss", "Losses/Value Loss", "Policy/Entropy", "Policy/Learning Rate",
            "Environment/Episode Length", "Environment/Cumulative Reward"} <= kept  # fmt: skip


def test_the_model_solves_the_environment_when_it_is_played(training: Training, reach1d: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(training.model)
    played = subprocess.run(
        [trainer_python(), str(reach1d / "play.py"), str(model)], capture_output=True, text=True, check=True
    )
    assert float(played.stdout) > 0.8, training.game.metrics


def test_all_its_files_can_be_had_as_one_zip(training: Training) -> None:
    with zipfile.ZipFile(io.BytesIO(training.get("/files.zip").content)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        assert archive.read("model.onnx") == training.model
    assert {
        "model.onnx", "checkpoint.pt", "configuration.yaml", "bundle.json", "timers.json", "training_status.json",
        "metrics_data.json", "trainer.log", "unity.log",
    } <= names  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)


def test_its_logs_were_kept_while_it_trained(training: Training) -> None:
    assert "Reach1D. Step: " in training.get("/logs?source=trainer").text
    assert "Reach1D: 8 areas" in training.get("/logs?source=environment").text


def test_no_trainer_is_left_and_the_node_has_handed_everything_in(training: Training, platform: Platform) -> None:
    attempts = platform.folder / "node" / "attempts"
    assert [path for path in attempts.iterdir() if training.run_id in path.name] == []


def test_more_steps_go_on_where_the_run_ended(training: Training, platform: Platform) -> None:
    before = training.get().json()
    body = BODY | {"run_id": training.run_id, "nn_model_config": {"behavior_name": "Reach1D", "steps": 3_000}}
    answer = requests.post(training.url, json=body, headers=bearer(training.token), timeout=30)
    assert answer.status_code == 200
    assert answer.json()["job_type"] == "RESUME"
    viewer = Viewer(platform.socket_url, {"run_id": training.run_id}).finish()
    assert viewer.statuses[0] == "SUBMITTED"
    assert viewer.statuses[-1] == "SUCCEEDED"
    assert viewer.seqs[0] == training.game.seqs[-1] + 1
    assert viewer.metrics[0]["step"] > before["steps_trained"]
    after = training.get().json()
    assert 3_000 <= after["steps_trained"] - before["steps_trained"] < 4_000
    whole = Viewer(platform.socket_url, {"run_id": training.run_id, "after": 0}, training.token).finish()
    assert whole.seqs == list(range(1, len(whole.seqs) + 1))


def read_bundle(data: bytes) -> dict[str, bytes]:
    """TrainFileBundle as a protobuf reader sees it: fields by number, lengths as varints."""
    files = [dict(fields(content)) for number, content in fields(data) if number == 1]
    assert [file.get(3, 0) for file in files] == list(range(len(files)))
    return {file[1].decode(): file[2] for file in files}


def fields(data: bytes) -> list[tuple[int, Any]]:
    found, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            found.append((tag >> 3, value))
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at
