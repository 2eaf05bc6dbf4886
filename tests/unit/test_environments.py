"""The catalogue of environment builds: what is wrong with a job is said with what would be right."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from coordinator.environments import Catalogue, Environment, Store, environment_of
from coordinator.errors import BadConfiguration, BadRequest

MANIFEST: dict[str, Any] = {
    "env_id": "maze", "behaviours": {"Walk": {"steps": {"min": 10, "max": 20}}, "Run": {"steps": {"min": 1, "max": 2}}},
    "areas": {"min": 1, "max": 4},
}  # fmt: skip


def write(folder: Path, name: str, manifest: object) -> None:
    (folder / name).mkdir()
    (folder / name / "manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    write(tmp_path, "maze", MANIFEST)
    write(tmp_path, "arena", MANIFEST | {"env_id": "arena"})
    return Catalogue(tmp_path)


@pytest.mark.parametrize(("steps", "areas"), [(10, 1), (20, 4), (15, 2)])
def test_what_lies_within_the_limits_is_taken(catalogue: Catalogue, steps: int, areas: int) -> None:
    catalogue.choose("maze", "Walk", steps, areas)


@pytest.mark.parametrize(("job", "sentence"), [
    (("moon", "Walk", 10, 1), "There is no environment 'moon'. Available: arena, maze."),
    (("maze", "Fly", 10, 1), "Environment 'maze' has no behaviour 'Fly'. Its behaviours: Run, Walk."),
    (("maze", "Walk", 9, 1), "nn_model_config.steps must be between 10 and 20, not 9."),
    (("maze", "Walk", 21, 1), "nn_model_config.steps must be between 10 and 20, not 21."),
    (("maze", "Walk", 10, 5), "env_config.num_of_areas must be between 1 and 4, not 5."),
    (("../maze", "Walk", 10, 1), "There is no environment '../maze'. Available: arena, maze."),
])  # fmt: skip
def test_what_there_is_not_is_refused_with_what_there_is(catalogue: Catalogue, job: Any, sentence: str) -> None:
    with pytest.raises(BadRequest) as caught:
        catalogue.choose(*job)
    assert caught.value.detail == sentence


def test_without_environments_no_job_can_be_taken(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Available: none"):
        Catalogue(tmp_path / "nowhere").choose("maze", "Walk", 10, 1)


@pytest.mark.parametrize("manifest", [
    "nonsense", "[]", "{}", {"env_id": "maze"}, MANIFEST | {"areas": {"min": 1}}, MANIFEST | {"behaviours": []},
    MANIFEST | {"areas": {"min": "few", "max": 4}}, MANIFEST | {"behaviours": {"Walk": {"steps": 3}}},
    MANIFEST | {"behaviours": {"Walk": {}}}, MANIFEST | {"areas": None}, MANIFEST | {"areas": {"min": None, "max": 2}},
], ids=str)  # fmt: skip
def test_a_broken_manifest_is_named(tmp_path: Path, manifest: object) -> None:
    write(tmp_path, "broken", manifest)
    with pytest.raises(BadConfiguration, match=r"broken/manifest\.json is not an environment's manifest"):
        Catalogue(tmp_path)


def test_a_build_that_nodes_would_not_find_under_its_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "maze-1.0", MANIFEST)
    with pytest.raises(BadConfiguration, match="'maze'"):
        Catalogue(tmp_path)


class Shelf(Store):
    """A store of one environment, which counts how often it is asked."""

    def __init__(self, *versions: str) -> None:
        self.asked = 0
        self.has = [environment_of(MANIFEST | {"version": version}, uuid4()) for version in versions]

    def ready(self, env_id: str, version: str | None) -> Environment | None:
        self.asked += 1
        return next((it for it in self.has if it.env_id == env_id and version in (None, it.version)), None)

    def build(self, build_id: UUID) -> Environment | None:
        return next((it for it in self.has if it.build_id == build_id), None)

    def versions(self, env_id: str) -> list[str]:
        return [str(it.version) for it in self.has if it.env_id == env_id]

    def env_ids(self) -> list[str]:
        return [it.env_id for it in self.has]


def test_builds_of_the_store_win_over_those_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "maze", MANIFEST | {"version": "0"})
    catalogue = Catalogue(tmp_path, Shelf("2", "1"))
    chosen = [catalogue.choose(env_id, "Walk", 10, 1) for env_id in ("maze", "maze@1", "maze@0")]
    assert [it.version for it in chosen] == ["2", "1", "0"]
    assert [it.build_id is None for it in chosen] == [False, False, True]
    with pytest.raises(BadRequest) as caught:
        catalogue.choose("maze@3", "Walk", 10, 1)
    assert caught.value.detail == "Environment 'maze' has no version '3' that is ready. It has: 2, 1, 0."


def test_a_busy_game_costs_one_lookup_a_second(tmp_path: Path) -> None:
    now, shelf = [0.0], Shelf("1")
    write(tmp_path, "arena", MANIFEST | {"env_id": "arena"})
    catalogue = Catalogue(tmp_path, shelf, lambda: now[0])
    for _ in range(100):
        catalogue.choose("maze", "Walk", 10, 1)
        catalogue.choose("arena", "Walk", 10, 1)
    assert shelf.asked == 2
    now[0] = 1.5
    catalogue.choose("maze", "Walk", 10, 1)
    catalogue.forget("maze")
    catalogue.choose("maze", "Walk", 10, 1)
    assert shelf.asked == 4


def test_a_job_keeps_its_build_when_there_are_newer_ones(tmp_path: Path) -> None:
    shelf = Shelf("2", "1")
    older = shelf.has[1]
    assert Catalogue(tmp_path, shelf).pinned("maze", older.build_id) is older


def test_the_number_of_environments_is_checked_where_the_manifest_limits_it(tmp_path: Path) -> None:
    write(tmp_path, "maze", MANIFEST | {"num_envs": {"min": 1, "max": 2}})
    write(tmp_path, "arena", MANIFEST | {"env_id": "arena"})
    catalogue = Catalogue(tmp_path)
    catalogue.choose("arena", "Walk", 10, 1, 8)
    with pytest.raises(BadRequest, match=r"^num_envs must be between 1 and 2, not 3\.$"):
        catalogue.choose("maze", "Walk", 10, 1, 3)
