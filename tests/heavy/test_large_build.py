"""A build of a gigabyte goes up, is verified, and costs the coordinator's programs no memory to speak of."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import requests

from services.platform import ROOT, Platform
from tests.archives import in_tar
from tests.builds import files
from tests.heavy.memory import Growth
from tests.jobs import bearer

MEGABYTE = 1024 * 1024
SIZE_MB = int(os.environ.get("HEAVY_BUILD_MB", "1024"))
MOST_MB = 50


class Noise:
    """So many bytes that nothing can compress."""

    def __init__(self, size: int) -> None:
        self._left, self._block = size, os.urandom(MEGABYTE)

    def read(self, most: int = -1) -> bytes:
        chunk = self._block[: min(most, self._left, MEGABYTE)] if most >= 0 else self._block
        self._left -= len(chunk)
        return chunk


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "maze.tar"
    with tarfile.open(path, "w") as made:
        for name, content in files().items():
            info, _ = in_tar(name, mode=0o755)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        level, _ = in_tar("Maze_Data/level0")
        level.size = SIZE_MB * MEGABYTE
        whole: object = Noise(level.size)
        made.addfile(level, whole)  # type: ignore[arg-type]
    return path


def test_a_build_of_a_gigabyte_goes_up_and_is_verified_in_little_memory(platform: Platform, archive: Path) -> None:
    """Upload and verification; the figures are printed."""
    headers = bearer(platform.token)
    requests.get(platform.url + "/api/v1/environments", headers=headers, timeout=10).raise_for_status()  # all warm
    growth = Growth(platform)
    command = [sys.executable, "-m", "sample.upload", archive, "--env-id", "large", "--version", "1",
               "--url", platform.url, "--token", platform.token]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    grown = growth.megabytes()
    print(json.dumps({"size_mb": SIZE_MB, "grown_mb": grown}))
    assert max(grown.values()) < MOST_MB, grown
