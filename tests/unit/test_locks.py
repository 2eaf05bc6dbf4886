"""What is installed is what the requirements files say, in files whose hashes are known; `make lock` makes it so."""

import re

import pytest

from scripts.lock import CUDA, ENTRY, SOURCES, normal, pins
from scripts.venvs import COORDINATOR, LOCKS, NODE, ROOT, TOOLS

LOCKED = {path.name: path.read_text() for path in LOCKS.glob("*.txt")}
INSTALL = re.compile(r"pip[\"', ]* install\b[^&|\n]*(?:\\\n[^&|\n]*)*")


def locked(name: str) -> set[str]:
    return {normal(pin) for pin, _ in ENTRY.findall(LOCKED[name])}


@pytest.mark.parametrize("source", SOURCES)
def test_each_lock_has_what_its_file_names_and_nothing_else(source: str) -> None:
    assert locked(source) == pins(source), "Type `make lock`."


def test_there_is_no_other_lock() -> None:
    assert {*LOCKED} == {*SOURCES, CUDA}


def test_the_cuda_packages_are_beside_the_others() -> None:
    assert locked(CUDA)
    assert not locked(CUDA) & locked("requirements-node.txt")


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_every_line_belongs_to_a_release_with_its_hashes(name: str) -> None:
    left = ENTRY.sub("", LOCKED[name].split("\n", 1)[1]).strip()
    assert left == ""
    assert all(
        re.fullmatch(r"( \\\n +--hash=sha256:[0-9a-f]{64})+", hashes) for _, hashes in ENTRY.findall(LOCKED[name])
    )


@pytest.mark.parametrize("source", SOURCES)
def test_every_pin_is_exact(source: str) -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / source).read_text().splitlines()]
    loose = [
        line for line in lines if line and not line.startswith("-r ") and not re.fullmatch(r"[\w.-]+==[\w.]+", line)
    ]
    assert loose == []


def test_make_installs_by_the_locks_alone() -> None:
    for venv in (COORDINATOR, NODE, TOOLS):
        for command in [*venv.commands, *([venv.with_cuda] if venv.with_cuda else [])]:
            assert command[-1].startswith("locks/")
            assert (ROOT / command[-1]).exists()


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.node", "README.md"])
def test_so_do_the_images_and_the_guide(file: str) -> None:
    commands = [found for found in INSTALL.findall((ROOT / file).read_text()) if " -r " in found]
    assert commands
    for command in commands:
        assert "--require-hashes" in command
        assert all(name.startswith("locks/") and (ROOT / name).exists() for name in re.findall(r"-r (\S+)", command))
