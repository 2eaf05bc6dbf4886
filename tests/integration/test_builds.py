"""An attempt in a build of the store: fetched and tried once, or a sentence that says why it cannot be trained in."""

from __future__ import annotations

import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from node import build_check, builds
from node.build_check import Finding
from node.central import Away, Central
from node.config import Config
from node.lease import Stop
from node.run import run_attempt
from node.trainers.base import EnvironmentBuild, TrainingRefused
from services.platform import trainer_python, wait_until
from tests.links import Links, serve
from wire.facts import Outcome
from wire.jobs import JobSpec

ROOT = Path(__file__).parents[2]
REACH1D = ROOT / "environments" / "reach1d"
RUN = "5667524a-ab1d-42e8-b5bd-e692755d03b0"
BUILD = "00000000-0000-4000-8000-000000000001"
MANIFEST: dict[str, Any] = json.loads((REACH1D / "manifest.json").read_text())


class Listener(Central):
    """A coordinator that hears what nodes have found."""

    def __init__(self, away: bool = False) -> None:
        super().__init__("http://127.0.0.1:9", "no token")
        self.checks: list[tuple[str, str | None, dict[str, Any]]] = []
        self.away = away

    def build_checked(self, build_id: str, error: str | None, seconds: float, found: dict[str, Any]) -> None:
        if self.away:
            raise Away("It does not answer.")
        self.checks.append((build_id, error, found))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(trainer_python=trainer_python(), node_data_dir=str(tmp_path / "node"), connect_seconds=30)


def packed(*files: Path) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for file in files:
            tar.add(file, f"build/{file.name}")
    return buffer.getvalue()


BROKEN = packed(Path(__file__).parent / "environments" / "broken", REACH1D / "Reach1D.yaml")


def spec(links: Links, way: str = "exits", **changes: Any) -> JobSpec:
    manifest = {**MANIFEST, "executable": "broken", "arguments": [way]}
    build = {"id": BUILD, "url": links.url, "sha256": links.source.sha256, "size": links.source.size}
    made = JobSpec(RUN, 1, "maze", "Reach1D", 1_000, 1, 1, "", build=build, manifest=manifest, needs_check=True)
    return replace(made, **changes)


def run(config: Config, central: Central, its: JobSpec, stop: Stop | None = None) -> Outcome:
    folder = config.attempts_dir / f"{RUN}.1" / "training"
    return run_attempt(config, central, its, folder, stop or Stop(), lambda fact: None, lambda upload: None)


def passing(monkeypatch: pytest.MonkeyPatch, error: str | None = None) -> list[EnvironmentBuild]:
    """Every check finds the same; what was checked."""
    checked: list[EnvironmentBuild] = []

    def look_at(config: Config, spec: JobSpec, build: EnvironmentBuild, *_: object) -> Finding:
        checked.append(build)
        threading.Event().wait(0.3)  # so that others come meanwhile
        return Finding(error, 0.1, {"Reach1D": {}})

    monkeypatch.setattr(build_check, "look_at", look_at)
    return checked


def test_a_build_that_fails_its_check_ends_the_attempt_with_the_sentence(config: Config) -> None:
    central = Listener()
    with serve(BROKEN) as links:
        outcome = run(config, central, spec(links))
    sentence = "The environment ended (exit code 3) before it had connected to the trainer."
    assert (outcome.status, outcome.error) == ("failed", sentence)
    assert "UnityEnvironmentException" in outcome.log_tail
    assert central.checks == [(BUILD, sentence, {})]


def test_a_build_is_checked_once_by_all_who_start_at_the_same_time(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, central = passing(monkeypatch), Listener()

    def train(number: int) -> Path:
        with builds.provide(config, spec(links), central, tmp_path / str(number), Stop()) as build:
            return build.folder

    with serve(BROKEN) as links, ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(train, range(3)))
    assert len(checked) == len(folders) == len(links.ranges) == 1
    assert {error for _, error, _ in central.checks} == {None}


def test_who_waited_for_a_check_that_failed_does_not_repeat_it_but_who_comes_later_does(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = passing(monkeypatch, "It is broken.")

    def train(number: int) -> str:
        with pytest.raises(TrainingRefused) as refused:
            builds.provide(config, spec(links), Listener(), tmp_path / str(number), Stop()).__enter__()
        return str(refused.value)

    with serve(BROKEN) as links:
        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(train, range(2))) == {"It is broken."}
        assert len(checked) == 1
        assert train(3) == "It is broken."
    assert len(checked) == 2


def test_a_check_that_could_not_be_reported_is_reported_with_the_next_claim(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, central = passing(monkeypatch), Listener(away=True)
    with serve(BROKEN) as links:
        for _ in range(2):
            with builds.provide(config, spec(links), central, tmp_path, Stop()):
                central.away = False
    assert len(checked) == 1
    assert central.checks == [(BUILD, None, {"Reach1D": {}})]


def test_a_build_that_needs_no_check_gets_none(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = passing(monkeypatch)
    with (
        serve(BROKEN) as links,
        builds.provide(config, spec(links, needs_check=False), Listener(), tmp_path, Stop()) as build,
    ):
        assert (build.folder / "broken").is_file()
        assert build.sha256 == links.source.sha256
    assert checked == []


@pytest.mark.parametrize(("reason", "status"), [(Stop.CANCELLED, "stopped"), (Stop.SHUTDOWN, "interrupted")])
def test_a_stop_ends_an_attempt_that_still_fetches_its_build(config: Config, reason: str, status: str) -> None:
    stop = Stop()
    with serve(BROKEN) as links, ThreadPoolExecutor() as pool:
        links.faults = ["away"] * 1_000
        outcome = pool.submit(run, config, Listener(), spec(links), stop)
        wait_until(lambda: links.ranges, 20, "a first try")
        stop.ask(reason)
        assert outcome.result(20).status == status


def test_a_stop_ends_a_check(config: Config) -> None:
    stop = Stop()
    log = config.attempts_dir / f"{RUN}.1" / "training" / "check" / "check.log"
    with serve(BROKEN) as links, ThreadPoolExecutor() as pool:
        outcome = pool.submit(run, config, Listener(), spec(links, "never-connects"), stop)
        wait_until(log.exists, 30, "the start of the check")
        stop.ask(Stop.CANCELLED)
        assert outcome.result(30).status == "stopped"
    assert not list(config.attempts_dir.glob("*.pid"))


def test_what_is_the_nodes_fault_is_tried_elsewhere(config: Config) -> None:
    with serve(BROKEN) as links:
        outcome = run(replace(config, node_builds_max_mb=1), Listener(), spec(links, build={
            "id": BUILD, "url": links.url, "sha256": links.source.sha256, "size": 5 * 2**30}))  # fmt: skip
    assert outcome.status == "interrupted"
    assert outcome.error
    assert outcome.error.startswith("The environment's build needs 5120 MB, and this training node keeps at most 1 MB")
