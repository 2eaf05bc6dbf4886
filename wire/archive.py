"""Archives of environment builds, which anybody may have made: looked at where they are verified, unpacked on nodes.

A single folder at the top is not part of a build's names: `Game/game.x86_64` beside nothing else is `game.x86_64`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .archive_members import CHUNK, Member, members, readable
from .archive_names import FILE, FOLDER, LINK, BadArchive, Names, clean

__all__ = ["CHUNK", "BadArchive", "Limits", "Listing", "contents", "listing", "unpack"]
FREE_BYTES = 64 * 1024 * 1024
"""So much may come of the smallest archive; beyond it, the ratio counts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one archive, counted on what really comes out of it."""

    max_unpacked: int = 50 * 1024**3
    """Bytes."""
    max_files: int = 200_000
    """Files, links and folders."""
    max_ratio: int = 200
    """Bytes out for each byte of the archive. deflate makes at most 1032 of one; builds of games make about 3."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive has. Names are those in the build, without the single folder at the top."""

    files: int
    unpacked_size: int
    root: str
    """That folder, or ""."""
    _names: Names

    def is_file(self, name: str) -> bool:
        """Whether it is there, as a file or a link."""
        return self._names.kinds.get(self.full(name)) in (FILE, LINK)

    def full(self, name: str) -> str:
        """The name as it is in the archive."""
        return f"{self.root}/{name}" if self.root else name

    @property
    def names(self) -> list[str]:
        """Of all files and links."""
        cut = len(self.root) + 1 if self.root else 0
        return [name[cut:] for name, kind in self._names.kinds.items() if kind != FOLDER]


Take = Callable[[str, Member, Iterator[bytes]], None]


def listing(file: BinaryIO, limits: Limits) -> Listing:
    """Reads all of an archive, which `file` can be sought in, and keeps none of it. Raises BadArchive."""
    return _walk(file, limits, _read)


def contents(file: BinaryIO, wanted: set[str], limits: Limits, most: int) -> dict[str, bytes]:
    """The first `most` + 1 bytes of the files of these names (as in the archive), where they are. Raises BadArchive."""
    found: dict[str, bytes] = {}

    def take(name: str, member: Member, chunks: Iterator[bytes]) -> None:
        if name in wanted:
            found[name] = b""
        for chunk in chunks:
            if name in wanted and len(found[name]) <= most:
                found[name] = (found[name] + chunk)[: most + 1]

    _walk(file, limits, take, lambda: len(found) == len(wanted))
    return found


def unpack(path: Path, folder: Path, limits: Limits, go_on: Callable[[], None] = lambda: None) -> Listing:
    """Unpacks into a folder that is empty or is made. Files get mode 755 or 644; links are made last, none is followed.

    `go_on` is called with every chunk: what it raises ends the work. Raises BadArchive, and OSError for the disk's own
    reasons; what was written until then is the caller's to remove.
    """

    def write(name: str, member: Member, chunks: Iterator[bytes]) -> None:
        place = folder / name
        (place if member.kind == FOLDER else place.parent).mkdir(parents=True, exist_ok=True)
        if member.kind == FILE:
            mode = 0o755 if member.is_executable else 0o644
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as out:
                for chunk in chunks:
                    go_on()
                    out.write(chunk)
        elif member.kind == LINK:
            links[name] = member.target

    links: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        found = _walk(file, limits, write)
    for name, target in links.items():
        (folder / name).symlink_to(target)
    return found


def _read(name: str, member: Member, chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass


def _walk(file: BinaryIO, limits: Limits, take: Take, is_enough: Callable[[], bool] = lambda: False) -> Listing:
    names, files, count = Names(), 0, _Count(limits, file.seek(0, os.SEEK_END))
    file.seek(0)
    for member in members(file, limits.max_files):
        name = clean(member.name)
        _add(names, name, member)
        if len(names.kinds) > limits.max_files:
            raise BadArchive(f"The archive has more than {limits.max_files} files.")
        files += member.kind != FOLDER
        take(name, member, count.through(member.chunks()) if member.kind == FILE else iter(()))
        if is_enough():
            break
    else:
        names.check_links()
    return Listing(files, count.unpacked, names.root(), names)


def _add(names: Names, name: str, member: Member) -> None:
    if member.kind == LINK:
        names.add_link(name, member.target)
    else:
        names.add(name, member.kind)


class _Count:
    """The bytes that have come out of an archive of `packed` bytes."""

    def __init__(self, limits: Limits, packed: int) -> None:
        self.unpacked, self._limits = 0, limits
        self._most_by_ratio = FREE_BYTES + packed * limits.max_ratio

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Raises BadArchive once it is too much."""
        with readable():
            for chunk in chunks:
                self.unpacked += len(chunk)
                self._check()
                yield chunk

    def _check(self) -> None:
        most, ratio = self._limits.max_unpacked, self._limits.max_ratio
        if self.unpacked > most:
            raise BadArchive(f"The archive unpacks to more than {most / 1024**2:.0f} MB, the most that there may be.")
        if self.unpacked > self._most_by_ratio:
            raise BadArchive(f"The archive unpacks to more than {ratio} times its size: a zip bomb, not a build.")
