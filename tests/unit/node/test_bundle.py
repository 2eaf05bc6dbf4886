"""What is kept of a run so that it can be repeated: complete, and the same for two runs that are the same."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node import bundle, hardware
from node.trainers import runtime
from node.trainers.base import Command, EnvironmentBuild, TrainingOrder


@pytest.fixture
def build(tmp_path: Path) -> EnvironmentBuild:
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "walk.x86_64").write_text("#!/bin/sh")
    return EnvironmentBuild(tmp_path / "walk", {"env_id": "walk", "version": "1.2.0"})


def content(build: EnvironmentBuild, workspace: Path, **order: Any) -> dict[str, Any]:
    """The bundle of a run in that workspace, as it was written."""
    workspace.mkdir()
    its = replace(TrainingOrder(workspace.name, 1, "Walk", build, 1_000, 8, 7, 21_000), **order)
    argv = ("/usr/bin/python3", "-m", "learn", f"--run-id={its.run_id}", f"--base-port={its.base_port}",
            f"--env={build.folder}/walk.x86_64", "--seed=7")  # fmt: skip
    settings = {"env_path": f"{build.folder}/walk.x86_64", "base_port": its.base_port, "init_path": f"{workspace}/i.pt"}
    words = {"configuration": {"configuration": {"env_settings": settings}}, "runtime": runtime.described()}
    written = bundle.write(its, workspace, Command(argv, {}, workspace), words)
    assert written.manifest == json.loads(written.path.read_text())
    return dict(written.manifest)


def test_two_runs_that_are_the_same_have_the_same_bundle(build: EnvironmentBuild, tmp_path: Path) -> None:
    assert content(build, tmp_path / "1") == content(build, tmp_path / "2", base_port=25_000, attempt=3)


def test_it_holds_what_decides_the_result(build: EnvironmentBuild, tmp_path: Path) -> None:
    its = content(build, tmp_path / "1")
    assert (its["seed"], its["max_steps"], its["num_envs"], its["areas"]) == (7, 1_000, 1, 8)
    assert its["command"] == ["python", "-m", "learn", "--env=<build>/walk.x86_64", "--seed=7"]
    assert its["configuration"] == {
        "env_settings": {"env_path": "<build>/walk.x86_64", "init_path": "<workspace>/i.pt"}
    }
    assert its["python"] == sys.version.split()[0]
    assert its["packages"]["pytest"]
    assert (its["environment"]["env_id"], len(its["environment"]["sha256"])) == ("walk", 64)
    assert its["hardware"] == hardware.described()
    assert its["hardware"]["cores"] >= 1


@pytest.mark.parametrize(
    ("order", "line"),
    [
        ({"seed": 8}, "seed"),
        ({"max_steps": 9}, "max_steps"),
        ({"num_envs": 2}, "num_envs"),
        ({"num_of_areas": 4}, "areas"),
    ],
)
def test_what_is_not_the_same_is_a_line_of_its_own(
    build: EnvironmentBuild, tmp_path: Path, order: dict[str, int], line: str
) -> None:
    one, other = content(build, tmp_path / "1"), content(build, tmp_path / "2", **order)
    assert [name for name in one if one[name] != other[name]] == [line]


def test_another_file_in_the_build_is_another_environment(build: EnvironmentBuild, tmp_path: Path) -> None:
    before = content(build, tmp_path / "1")["environment"]
    (build.folder / "level.dat").write_text("new")
    assert content(build, tmp_path / "2")["environment"]["sha256"] != before["sha256"]


@pytest.mark.parametrize(("name", "said"), [
    ("resume_from", "its own checkpoint"), ("initialize_from", "another run's checkpoint"),
])  # fmt: skip
def test_the_first_weights_are_known_by_their_hash(
    build: EnvironmentBuild, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "saved.pt").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    its: dict[str, Any] = {name: tmp_path / "saved.pt"}
    assert content(build, tmp_path / "1", **its)["start"] == {"from": said, "sha256": empty}


def test_a_trainer_that_told_nothing_leaves_a_bundle_all_the_same(build: EnvironmentBuild, tmp_path: Path) -> None:
    order = TrainingOrder("run-1", 1, "Walk", build, 1_000, 8, 7, 21_000)
    its = bundle.write(order, tmp_path, Command(("python",), {}, tmp_path), {}).manifest
    assert (its["seed"], its["configuration"], its["packages"]) == (7, None, None)
