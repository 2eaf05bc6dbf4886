"""What is installed is what the requirements files say, in files whose hashes are known; `make lock` makes it so."""

import re

import pytest

from scripts import venvs
from scripts.lock import CPU, CUDA, ENTRY, NODE, SOURCES, TORCH, normal, pins
from scripts.venvs import LOCKS, ROOT

LOCKED = {path.name: path.read_text() for path in LOCKS.glob("*.txt")}
INSTALL = re.compile(r"pip[\"', ]* install\b[^&|\n]*(?:\\\n[^&|\n]*)*")


def locked(name: str) -> set[str]:
    return {normal(pin) for pin, _ in ENTRY.findall(LOCKED[name])}


@pytest.mark.parametrize("source", SOURCES)
def test_each_lock_has_what_its_file_names_and_nothing_else(source: str) -> None:
    assert locked(source) | ({TORCH} if source == NODE else set()) == pins(source), "Type `make lock`."


def test_there_is_no_other_lock() -> None:
    assert {*LOCKED} == {*SOURCES, CUDA, CPU}


def test_pytorch_is_in_one_of_two() -> None:
    assert locked(CPU) == {f"{TORCH}+cpu"}
    assert TORCH in locked(CUDA)
    assert TORCH not in locked(NODE)
    assert not locked(CUDA) & locked(NODE)


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
    for venv in (venvs.COORDINATOR, venvs.NODE, venvs.TOOLS):
        for command in [*venv.commands, *venv.either]:
            assert command[-1].startswith("locks/")
            assert (ROOT / command[-1]).exists()


@pytest.mark.parametrize("file", ["Dockerfile", "Dockerfile.node", "README.md"])
def test_so_do_the_images_and_the_guide(file: str) -> None:
    commands = [found for found in INSTALL.findall((ROOT / file).read_text()) if " -r " in found]
    assert commands
    for command in commands:
        assert "--require-hashes" in command
        assert all(
            name.startswith("locks/") and (ROOT / name).exists() for name in re.findall(r"-r ([\w./-]+)", command)
        )
