"""Two nodes fetch a build of a gigabyte at the same time, each once and in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from coordinator.parts import parts
from node.central import sha256_of
from services.platform import ROOT

MEGABYTE = 1024 * 1024
SIZE_MB = int(os.environ.get("HEAVY_BUILD_MB", "1024"))
MOST_MB = 50

NODE = """
import json, sys, threading, time
from pathlib import Path
from node.build_cache import BuildCache
from node.fetch import Source

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024

folder, sha256, size, url = sys.argv[1:]
before, began = peak(), time.monotonic()
source = Source(sha256, int(size), url, lambda: url)
with BuildCache(Path(folder), 4 * int(size)).hold(source, threading.Event()) as build:
    files = sum(path.stat().st_size for path in build.rglob("*") if path.is_file())
print(json.dumps({"grown_mb": peak() - before, "seconds": time.monotonic() - began, "files": files}))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Path]:
    """Nothing in it can be compressed."""
    level, path = tmp_path / "level0", tmp_path / "maze.tar.gz"
    with level.open("wb") as file:
        for _ in range(SIZE_MB):
            file.write(os.urandom(MEGABYTE))
    with tarfile.open(path, "w:gz", compresslevel=1) as made:
        made.add(level, "Maze_Data/level0")
    level.unlink()
    yield path
    path.unlink()


def test_two_nodes_fetch_a_build_of_a_gigabyte_in_little_memory(app: Flask, archive: Path, tmp_path: Path) -> None:
    storage = parts(app).storage
    with archive.open("rb") as content:
        storage.s3.put_object(Bucket=storage.bucket, Key="builds/heavy", Body=content)
    about = [sha256_of(archive), str(archive.stat().st_size), storage.download_link("builds/heavy")]
    nodes = [
        subprocess.Popen([sys.executable, "-c", NODE, str(tmp_path / name), *about], cwd=ROOT, stdout=subprocess.PIPE)
        for name in ("first", "second")
    ]
    told = [json.loads(node.communicate(timeout=600)[0]) for node in nodes]
    storage.delete("builds/heavy")
    print(json.dumps(told))
    assert [it["files"] for it in told] == [SIZE_MB * MEGABYTE] * 2
    assert max(it["grown_mb"] for it in told) < MOST_MB
    for name in ("first", "second"):
        assert [path.name for path in (tmp_path / name).iterdir() if path.name != "locks"] == [about[0]]
