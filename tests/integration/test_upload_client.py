"""The upload client against the platform's programs: what a studio's CI sees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import requests

from services.platform import ROOT, Platform
from tests.builds import URL, archive, files
from tests.jobs import bearer


def upload(platform: Platform, source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sample.upload", source, "--env-id", "maze", *options]
    environ = {**os.environ, "URL": platform.url, "TOKEN": platform.token}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False)


def shown(platform: Platform, version: str) -> dict[str, object]:
    found = requests.get(platform.url + URL + "/maze", headers=bearer(platform.token), timeout=30).json()["versions"]
    return next(dict(its) for its in found if its["version"] == version)


def test_a_folder_is_packed_uploaded_and_verified(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "Data").mkdir()
    for name, content in files().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "maze.x86_64").chmod(0o755)
    (tmp_path / "Data" / "noise").write_bytes(os.urandom(17 * 1024**2))  # more than one part
    (tmp_path / "Data" / "link").symlink_to("noise")
    first = upload(platform, tmp_path, "--version", "1")
    assert first.returncode == 0, first.stdout
    assert "maze 1 is READY: 5 files" in first.stdout
    upload(platform, tmp_path, "--version", "2")
    assert shown(platform, "1")["sha256"] == shown(platform, "2")["sha256"]  # the same folder, the same bytes
    again = upload(platform, tmp_path, "--version", "1")
    assert (again.returncode, "is there already (READY)" in again.stdout) == (1, True)


def test_a_build_that_is_rejected_says_why(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "maze.tar.gz").write_bytes(archive("tar.gz", maze__x86_64=None))
    done = upload(platform, tmp_path / "maze.tar.gz", "--version", "bad")
    assert done.returncode == 1
    assert "maze bad is REJECTED. The executable 'maze.x86_64' is not in the archive." in done.stdout


def test_what_cannot_be_uploaded_is_said(platform: Platform, tmp_path: Path) -> None:
    assert upload(platform, tmp_path / "nothing", "--version", "1").stdout.startswith("There is no ")
    assert "Name the environment and its version" in upload(platform, tmp_path).stdout
    (tmp_path / "maze.zip").write_bytes(archive())
    refused = upload(platform, tmp_path / "maze.zip", "--version", "1", "--token", "wrong")
    assert (refused.returncode, "This token is not known here" in refused.stdout) == (1, True)
