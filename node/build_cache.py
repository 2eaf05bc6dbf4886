"""The builds of this node: each fetched once, by its SHA-256, and kept as long as there is room.

`<hash>` is a complete build, for it is put there in one step; `<hash>.part` is what has come of its archive,
`<hash>.unpacking` a folder in the making. Locks are of the kernel's, so they end with the process that holds them.
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from wire.archive import BadArchive, Limits, unpack

from .fetch import LOOK_SECONDS, Damaged, Source, StopFlag, Stopped, fetch, wait
from .trainers.base import TrainingRefused
from .tree import make_read_only, remove, size_of

log = logging.getLogger(__name__)
HASH = re.compile(r"[0-9a-f]{64}")
FULL = (errno.ENOSPC, errno.EDQUOT)
MEGABYTE = 2**20
STALE_SECONDS = 86_400
MOST_FILES = 1_000_000
"""Of a build. The coordinator's bound is the lower one."""


class BuildCache:
    """Of one node: its pool processes share it, two nodes never do."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self._max = folder, max_bytes
        self._locks = folder / "locks"

    @contextmanager
    def hold(self, source: Source, stop: StopFlag) -> Iterator[Path]:
        """The folder of the build, which stays as it is until the block ends.

        Raises Stopped, TrainingRefused, or Away and Refused, of which another attempt may know nothing.
        """
        if not HASH.fullmatch(source.sha256):
            raise TrainingRefused("The build's SHA-256 is not one.", "node")
        self._locks.mkdir(parents=True, exist_ok=True)
        with self.lock(source.sha256, "use", stop, fcntl.LOCK_SH):
            self._used_now(source.sha256)
            folder = self.folder / source.sha256
            if not folder.is_dir():
                with self.lock(source.sha256, "fetch", stop):
                    if not folder.is_dir():  # nobody else has fetched it meanwhile
                        self._obtain(source, folder, stop)
            try:
                yield folder
            finally:
                self._used_now(source.sha256)

    @contextmanager
    def lock(self, sha256: str, what: str, stop: StopFlag, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Waits for as long as another process of this node has it. Raises Stopped."""
        with ExitStack() as held:
            while not self._try_lock(held, sha256, what, kind):
                wait(LOOK_SECONDS, stop)
            yield

    def note_of(self, sha256: str) -> Path:
        """Where it is noted what the check of a build has shown."""
        return self._lock_file(sha256, "checked")

    def clear_leftovers(self) -> None:
        """For the node's start: what a killed process has left half done, except an archive to be gone on with."""
        for path in self.folder.glob("*.*"):
            sha256, _, state = path.name.partition(".")
            with ExitStack() as held, suppress(FileNotFoundError):  # its owner may be quicker
                stale = state != "part" or path.stat().st_mtime < time.time() - STALE_SECONDS
                if HASH.fullmatch(sha256) and stale and self._try_lock(held, sha256, "use"):
                    remove(path)

    def _used_now(self, sha256: str) -> None:
        os.utime(self._lock_file(sha256, "use"))

    def _lock_file(self, sha256: str, what: str) -> Path:
        return self._locks / f"{sha256}.{what}"

    def _try_lock(self, held: ExitStack, sha256: str, what: str, kind: int = fcntl.LOCK_EX) -> bool:
        self._locks.mkdir(parents=True, exist_ok=True)
        file = self._lock_file(sha256, what).open("a")
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        held.enter_context(file)
        return True

    # ---- how a build comes in

    def _obtain(self, source: Source, folder: Path, stop: StopFlag) -> None:
        part, unpacking = (folder.with_name(f"{folder.name}.{state}") for state in ("part", "unpacking"))
        try:
            self._make_room(source.size + source.unpacked_size)
            fetch(source, part, stop)
            self._unpack(part, unpacking, stop)
            unpacking.rename(folder)
        except OSError as error:
            remove(part)
            raise _refusal(source, error) from error
        except Damaged as error:
            raise TrainingRefused(f"The environment's build came damaged from storage. {error}", "node") from error
        except BadArchive as error:
            remove(part)
            raise TrainingRefused(f"The environment's build cannot be unpacked. {error}") from error
        finally:
            remove(unpacking)
        remove(part)
        self._make_room(0)

    def _unpack(self, part: Path, unpacking: Path, stop: StopFlag) -> None:
        def go_on() -> None:
            if stop.is_set():
                raise Stopped

        remove(unpacking)
        unpack(part, unpacking, Limits(max_unpacked=self._max, max_files=MOST_FILES), go_on)
        make_read_only(unpacking)
        os.sync()  # after a power cut, no file of a build that is there may be empty

    # ---- how builds go

    def _make_room(self, need: int) -> None:
        """Removes builds that no training uses, those that were used longest ago first. Raises TrainingRefused."""
        if need > self._max:
            raise TrainingRefused(
                f"The environment's build needs {need // MEGABYTE} MB, and this training node keeps at most "
                f"{self._max // MEGABYTE} MB of builds (NODE_BUILDS_MAX_MB).", "node",
            )  # fmt: skip
        for path in self._by_last_use():
            if self._used() + need <= self._max and shutil.disk_usage(self.folder).free > need:
                return
            self._give_up(path)

    def _by_last_use(self) -> list[Path]:
        found = [path for path in self.folder.iterdir() if HASH.fullmatch(path.name.removesuffix(".part"))]
        return sorted(found, key=self._last_use)

    def _last_use(self, path: Path) -> float:
        lock = self._lock_file(path.name.removesuffix(".part"), "use")
        return lock.stat().st_mtime if lock.exists() else 0.0

    def _used(self) -> int:
        return sum(size_of(path) for path in self.folder.iterdir() if path != self._locks)

    def _give_up(self, path: Path) -> None:
        with ExitStack() as held:
            if path.exists() and self._try_lock(held, path.name.removesuffix(".part"), "use"):
                log.info("The build %s makes room for another.", path.name)
                remove(path)


def _refusal(source: Source, error: OSError) -> TrainingRefused:
    if error.errno in FULL:
        size = source.size // MEGABYTE
        return TrainingRefused(
            f"This training node's disk is full: there is no room for the environment's build of {size} MB.", "node"
        )
    return TrainingRefused(f"This training node cannot keep the environment's build ({error.strerror}).", "node")
