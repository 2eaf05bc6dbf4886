"""What a node says it has: by its trainers' Python, its settings and its disk."""

import sys
import tomllib
from pathlib import Path

import pytest

from node.config import Config
from node.inventory import CannotAsk, Inventory, ask, has_all, packages_of, why_full
from node.trainers.base import TRAINERS
from wire.names import VERSION

ROOT = Path(__file__).parents[3]


def config(folder: Path, python: str = sys.executable, **settings: object) -> Config:
    return Config(node_data_dir=str(folder), trainer_python=python, **settings)  # type: ignore[arg-type]


def test_a_python_without_trainers_makes_a_node_without_trainers(tmp_path: Path) -> None:
    has = Inventory(config(tmp_path, python=str(tmp_path / "none"), node_labels="b,a", node_slots=3)).take()
    assert (has.trainers, has.gpus, has.labels, has.slots, has.version) == ((), (), ("a", "b"), 3, VERSION)
    assert has.disk_free_mb > 0


def test_a_python_is_asked_for_all_packages_of_all_trainers(tmp_path: Path) -> None:
    found = ask(config(tmp_path))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {*found["packages"]} == {package for trainer in TRAINERS for package in packages_of(trainer)}
    assert found["gpus"] == []


def test_a_trainer_is_there_when_all_its_packages_are() -> None:
    versions: dict[str, str | None] = dict.fromkeys(packages_of("mlagents"), "1.0")
    assert has_all("mlagents", versions)
    assert not has_all("mlagents", {**versions, "torch": None})


@pytest.mark.parametrize(("python", "why"), [("/nowhere/python", "cannot be started"), ("ls", "cannot say what it has"),
                                             ("true", "is no Python")])  # fmt: skip
def test_a_python_that_cannot_be_asked_is_named(tmp_path: Path, python: str, why: str) -> None:
    with pytest.raises(CannotAsk, match=f"TRAINER_PYTHON, {python}, {why}"):
        ask(config(tmp_path, python=python))


def test_a_disk_that_is_nearly_full_takes_nothing_new(tmp_path: Path) -> None:
    assert why_full(config(tmp_path), 2_048) is None
    assert why_full(config(tmp_path), 2_047) == "Its disk has 2047 MB left; it takes new trainings from 2048 MB on."
    assert Inventory(config(tmp_path, node_min_free_mb=10**9)).take().full


def test_the_version_is_the_projects() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
