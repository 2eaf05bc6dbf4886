"""The node's cache of builds: fetched once, whatever happens to the transfer, to the process, or to the disk."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from node import fetch as fetching
from node.build_cache import BuildCache
from node.central import Away
from node.fetch import CHUNK, Source, Stopped, fetch
from node.trainers.base import TrainingRefused
from services.platform import wait_until
from tests.links import Links, serve
from wire.archive import unpack

ROOT = Path(__file__).parents[2]
GO_ON = threading.Event()
PLENTY = 10 * 2**20


def archive(content: bytes = b"#!/bin/sh\n", name: str = "player", mode: int = 0o755) -> bytes:
    """A tar of a folder with one program in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        it = tarfile.TarInfo(name)
        it.size, it.mode = len(content), mode
        tar.addfile(it, io.BytesIO(content))
    return packed.getvalue()


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        entry = zipfile.ZipInfo("build/player")
        entry.external_attr = 0o100755 << 16
        file.writestr(entry, content)
    return packed.getvalue()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LONGEST_PAUSE_SECONDS", 0.02)


@pytest.fixture
def links() -> Iterator[Links]:
    with serve(archive(os.urandom(600_000))) as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    return BuildCache(tmp_path / "builds", PLENTY)


# ---- one file by its link


@pytest.mark.parametrize("status", [206, 200])
def test_a_broken_transfer_goes_on_where_it_broke(links: Links, tmp_path: Path, status: int) -> None:
    links.status_of_parts = status  # rclone's S3 calls a part 200 too
    links.faults = [3 * CHUNK, "away", 2 * CHUNK]
    fetch(links.source, tmp_path / "it", GO_ON)
    assert (tmp_path / "it").read_bytes() == links.content
    assert links.ranges == [None, "bytes=196608-", "bytes=196608-", "bytes=327680-"]


def test_a_server_without_ranges_is_asked_from_the_beginning(links: Links, tmp_path: Path) -> None:
    links.status_of_parts = None
    links.faults = [3 * CHUNK]
    fetch(links.source, tmp_path / "it", GO_ON)
    assert (tmp_path / "it").read_bytes() == links.content


def test_an_expired_link_is_renewed_and_the_transfer_goes_on(links: Links, tmp_path: Path) -> None:
    links.faults = [3 * CHUNK, "expired"]
    fetch(links.source, tmp_path / "it", GO_ON)
    assert (tmp_path / "it").read_bytes() == links.content
    assert links.renewed == 1


def test_a_file_that_comes_damaged_is_fetched_again(links: Links, tmp_path: Path) -> None:
    links.faults = ["damaged"]
    fetch(links.source, tmp_path / "it", GO_ON)
    assert (tmp_path / "it").read_bytes() == links.content


def test_a_file_that_is_always_damaged_is_given_up(links: Links, cache: BuildCache) -> None:
    links.faults = ["damaged"] * 9
    with pytest.raises(TrainingRefused, match="came damaged from storage") as refused, \
            cache.hold(links.source, GO_ON):  # fmt: skip
        pass
    assert refused.value.cause == "node"
    assert left(cache) == []


def test_storage_that_gives_nothing_is_given_up(links: Links, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.2)
    links.faults = ["away"] * 1_000
    with pytest.raises(Away):
        fetch(links.source, tmp_path / "it", GO_ON)


def test_a_stop_ends_a_fetch_in_the_middle(links: Links, tmp_path: Path) -> None:
    links.faults = [1_000] + ["away"] * 1_000
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        fetched = pool.submit(fetch, links.source, tmp_path / "it", stop)
        wait_until(lambda: len(links.ranges) > 2, 20, "a few tries")
        stop.set()
        with pytest.raises(Stopped):
            fetched.result(20)


def test_a_stop_ends_the_unpacking_and_leaves_the_archive_for_the_next(
    links: Links, cache: BuildCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def stopped(*arguments: Any) -> None:
        stop.set()
        unpack(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("node.build_cache.unpack", stopped)
        with pytest.raises(Stopped):
            cache.hold(links.source, stop).__enter__()
    assert left(cache) == [f"{links.source.sha256}.part"]
    use(cache, links.source)
    assert len(links.ranges) == 1


# ---- the cache


def left(cache: BuildCache) -> list[str]:
    """What lies in the cache but locks."""
    return sorted(path.name for path in cache.folder.iterdir() if path.name != "locks")


def use(cache: BuildCache, source: Source) -> None:
    with cache.hold(source, GO_ON):
        pass


@pytest.mark.parametrize(("pack", "player"), [(archive, "player"), (zipped, "build/player")])
def test_a_build_is_unpacked_and_cannot_be_written(
    cache: BuildCache, pack: Callable[[bytes], bytes], player: str
) -> None:
    with serve(pack(b"#!/bin/sh\nexit 3\n")) as links, cache.hold(links.source, GO_ON) as folder:
        assert folder == cache.folder / links.source.sha256
        assert subprocess.run([folder / player], check=False).returncode == 3
        modes = {path.stat().st_mode & 0o222 for path in [folder, *folder.rglob("*")]}
        assert modes == {0}
    assert left(cache) == [links.source.sha256]


def test_a_build_is_fetched_once_however_many_ask_at_the_same_time(links: Links, cache: BuildCache) -> None:
    def hold(_: int) -> bytes:
        with BuildCache(cache.folder, PLENTY).hold(links.source, GO_ON) as folder:
            return (folder / "player").read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(hold, range(4)))) == 1
    use(cache, links.source)
    assert len(links.ranges) == 1


FETCHER = """
import sys, threading
from pathlib import Path
from node.build_cache import BuildCache
from node.fetch import Source
folder, sha256, size, url = sys.argv[1:]
with BuildCache(Path(folder), 10 * 2**20).hold(Source(sha256, int(size), url, lambda: url), threading.Event()) as held:
    print(held, flush=True)
"""


def fetcher(cache: BuildCache, source: Source) -> subprocess.Popen[str]:
    """Another process of the same node."""
    arguments = [str(cache.folder), source.sha256, str(source.size), source.url]
    return subprocess.Popen([sys.executable, "-c", FETCHER, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_kill_9_in_the_middle_of_a_fetch_leaves_nothing_that_is_run_and_the_next_goes_on(
    links: Links, cache: BuildCache
) -> None:
    links.faults = ["waits"]
    part = cache.folder / f"{links.source.sha256}.part"
    with fetcher(cache, links.source) as killed:
        wait_until(lambda: part.exists() and part.stat().st_size, 30, "the first bytes")
        waiting = fetcher(cache, links.source)  # for the lock of the one that is about to die
        killed.kill()
    with waiting:
        assert waiting.stdout
        assert waiting.stdout.read().strip() == str(cache.folder / links.source.sha256)
    assert waiting.returncode == 0
    assert len(links.ranges) == 2
    assert links.ranges[1] not in (None, "bytes=0-")
    assert left(cache) == [links.source.sha256]


def test_what_a_killed_process_left_half_unpacked_is_cleared_at_the_start(links: Links, cache: BuildCache) -> None:
    sha256 = links.source.sha256
    for name in (f"{sha256}.unpacking", f"{sha256}.removed"):
        (cache.folder / name / "Data").mkdir(parents=True)
        (cache.folder / name / "Data").chmod(0o500)
    (cache.folder / f"{sha256}.part").write_bytes(links.content[:1000])
    cache.clear_leftovers()
    assert left(cache) == [f"{sha256}.part"]
    os.utime(cache.folder / f"{sha256}.part", (0, 0))
    cache.clear_leftovers()
    assert left(cache) == []


def test_builds_used_longest_ago_make_room_and_those_in_use_stay(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "builds", 900_000)
    with serve(archive(os.urandom(300_000))) as first, serve(archive(os.urandom(300_000))) as second, \
            serve(archive(os.urandom(300_000))) as third:  # fmt: skip
        use(cache, first.source)
        use(cache, second.source)
        age(cache, second.source)
        with cache.hold(first.source, GO_ON):
            use(cache, third.source)
            assert left(cache) == sorted([first.source.sha256, third.source.sha256])
        age(cache, first.source)
        use(cache, second.source)
        assert left(cache) == sorted([second.source.sha256, third.source.sha256])


def age(cache: BuildCache, source: Source) -> None:
    """As if it had been used last an hour ago."""
    os.utime(cache.folder / "locks" / f"{source.sha256}.use", (time.time() - 3_600,) * 2)


def test_a_build_that_can_never_fit_is_refused_before_it_is_fetched(links: Links, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match=r"NODE_BUILDS_MAX_MB") as refused:
        use(BuildCache(tmp_path / "builds", 1_000), links.source)
    assert refused.value.cause == "node"
    assert not links.ranges


def test_a_full_disk_is_said_in_a_sentence_and_cleared_up(
    links: Links, cache: BuildCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("node.build_cache.unpack", full)
    with pytest.raises(TrainingRefused, match="disk is full") as refused:
        use(cache, links.source)
    assert refused.value.cause == "node"
    assert left(cache) == []


@pytest.mark.parametrize(
    "bad", [b"not an archive", archive(name="../outside"), archive(name="/tmp/outside"), archive()[:-20]],  # noqa: S108
    ids=["garbage", "path outside", "absolute path", "cut off"],
)  # fmt: skip
def test_a_bad_archive_is_refused_here_too(cache: BuildCache, bad: bytes) -> None:
    with serve(bad) as links, pytest.raises(TrainingRefused, match="cannot be unpacked"):
        use(cache, links.source)
    assert left(cache) == []
    assert not (cache.folder.parent / "outside").exists()


def test_the_sha256_never_becomes_a_path(cache: BuildCache, links: Links) -> None:
    with pytest.raises(TrainingRefused, match="SHA-256"):
        use(cache, Source("../" + "a" * 61, 1, links.url, lambda: links.url))
