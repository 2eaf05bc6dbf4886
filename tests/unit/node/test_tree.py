"""The hash of a folder: everything that a training could notice, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from node.builds import environment_hash, root_of
from node.trainers.base import EnvironmentBuild
from node.tree import remove, tree_sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build = tmp_path / "build"
    (build / "Data").mkdir(parents=True)
    (build / "player").write_text("#!/bin/sh")
    (build / "player").chmod(0o755)
    (build / "Data" / "level0").write_bytes(b"level")
    (build / "Data" / "link").symlink_to("level0")
    return build


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "player").chmod(0o644),
        lambda folder: (folder / "player").write_text("#!/bin/zsh"),
        lambda folder: (folder / "player").rename(folder / "player2"),
        lambda folder: (folder / "Data" / "level1").touch(),
        lambda folder: (folder / "Data" / "level0").unlink(),
        lambda folder: (folder / "Data" / "link").unlink() or (folder / "Data" / "link").symlink_to("level1"),
    ],
    ids=["mode", "content", "name", "one more", "one less", "target of a link"],
)
def test_any_change_changes_the_hash(folder: Path, change: Callable[[Path], object]) -> None:
    before = tree_sha256(folder)
    assert before == tree_sha256(folder)
    change(folder)
    assert tree_sha256(folder) != before


def test_times_and_what_python_compiles_do_not_count(folder: Path) -> None:
    before = tree_sha256(folder)
    (folder / "Data" / "__pycache__").mkdir()
    (folder / "Data" / "__pycache__" / "world.pyc").write_bytes(b"compiled")
    (folder / "player").touch()
    assert tree_sha256(folder) == before


def test_a_build_of_the_store_is_known_by_its_archive_another_by_its_folder(folder: Path) -> None:
    assert environment_hash(EnvironmentBuild(folder, {}, "a" * 64)) == "a" * 64
    assert environment_hash(EnvironmentBuild(folder, {})) == tree_sha256(folder)


def test_paths_begin_in_the_only_folder_of_an_archive(folder: Path) -> None:
    assert root_of(folder.parent) == folder
    assert root_of(folder) == folder


def test_a_read_only_folder_is_removed(folder: Path) -> None:
    (folder / "Data").chmod(0o500)
    remove(folder)
    assert list(folder.parent.iterdir()) == []
