"""A studio's own environment, from its upload to a trained model: fetched and tried by a real node."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from services.platform import Platform, wait_until
from tests.acceptance.viewers import BODY, Viewer, bearer
from tests.archives import pack
from tests.builds import put

SENTENCE = 'The manifest gives "Reach1D" the observations [[3]], the environment shows [[2]].'
SEEN = {"Reach1D": {"observation_shapes": [[2]], "actions": {"continuous": 1, "discrete": []}}}


class Studio:
    """Uploads builds of "arena", which is the reference environment, and trains in them."""

    def __init__(self, platform: Platform, reach1d: Path) -> None:
        self.platform, self.folder = platform, reach1d
        self.headers = bearer(platform.token)
        self.sha256: dict[str, str] = {}

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{self.platform.url}/api/v1{path}", json=body, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, version: str, shapes: list[list[int]], form: str) -> None:
        """Returns when it is READY."""
        content = pack(self.files(version, shapes), form, ("Arena/reach1d",))
        self.sha256[version] = hashlib.sha256(content).hexdigest()
        begun = self.post("/environments", {"env_id": "arena", "version": version, "size": len(content),
                                            "sha256": self.sha256[version]})  # fmt: skip
        self.post(f"/environments/arena/versions/{version}/complete", {"parts": put(begun, content)})
        wait_until(lambda: self.build(version)["state"] != "VERIFYING", 60, f"the verification of {version}")
        assert self.build(version)["state"] == "READY", self.build(version)

    def files(self, version: str, shapes: list[list[int]]) -> dict[str, bytes]:
        found = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        manifest = json.loads(found["manifest.json"]) | {"env_id": "arena", "version": version}
        manifest["behaviours"]["Reach1D"]["observation_shapes"] = shapes
        return {f"Arena/{name}": content for name, content in found.items()} | {
            "Arena/manifest.json": json.dumps(manifest).encode()
        }

    def build(self, version: str) -> Any:
        answer = requests.get(f"{self.platform.url}/api/v1/environments/arena", headers=self.headers, timeout=30)
        return next(it for it in answer.json()["versions"] if it["version"] == version)

    def train(self, env_id: str) -> str:
        """The run's id."""
        environment = {"agent_id": "1", "env_id": env_id, "num_of_areas": 8}
        wanted = {"behavior_name": "Reach1D", "steps": 1_000}
        return str(self.post("/train-jobs", BODY | {"env_config": environment, "nn_model_config": wanted})["run_id"])

    def job(self, run_id: str) -> Any:
        url = f"{self.platform.url}/api/v1/train-jobs/{run_id}"
        return requests.get(url, headers=self.headers, timeout=30).json()


@pytest.fixture(scope="module")
def studio(platform: Platform, reach1d: Path) -> Studio:
    """With two versions: 1 is good, and of 2 the manifest is not true."""
    made = Studio(platform, reach1d)
    made.upload("1", [[2]], "zip")
    made.upload("2", [[3]], "tar.gz")
    return made


def test_an_exact_version_is_fetched_tried_and_trained_in(studio: Studio, platform: Platform) -> None:
    run_id = studio.train("arena@1")
    viewer = Viewer(platform.socket_url, {"run_id": run_id}).finish()
    assert viewer.statuses[-1] == "SUCCEEDED", studio.job(run_id)
    assert len(viewer.binaries) == 1
    (check,) = studio.build("1")["checks"]
    assert (check["node"], check["error"], check["found"]) == ("node", None, SEEN)
    fetched = platform.folder / "node" / "builds" / studio.sha256["1"] / "Arena" / "reach1d"
    assert fetched.stat().st_mode & 0o777 == 0o555


def test_the_newest_version_does_not_keep_its_promise_and_the_job_says_so(studio: Studio, platform: Platform) -> None:
    run_id = studio.train("arena")
    viewer = Viewer(platform.socket_url, {"run_id": run_id}).finish()
    assert viewer.statuses[-1] == "FAILED"
    job = studio.job(run_id)
    assert (job["error"], job["attempt"]) == (SENTENCE, 1)
    (check,) = studio.build("2")["checks"]
    assert (check["error"], check["found"]) == (SENTENCE, SEEN)
