"""A build's folder as one archive: the same folder gives the same bytes, so that nodes know a build they have."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

CHUNK = 1024 * 1024
Tell = Callable[[int], None]
"""Hears of so many more bytes."""


def files_of(folder: Path) -> list[Path]:
    """Every file and symbolic link, in order."""
    found = []
    for here, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        found += [Path(here) / name for name in [*names, *links]]
    return sorted(found)


@contextmanager
def archive_of(source: Path, tell: Tell) -> Iterator[Path]:
    """The archive, or a folder's zip, which lasts as long as the block; `tell` hears of the bytes packed."""
    if not source.is_dir():
        yield source
        return
    with NamedTemporaryFile(suffix=".zip") as made:
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
            for path in files_of(source):
                _pack(packed, path, path.relative_to(source).as_posix(), tell)
        made.flush()
        yield Path(made.name)


def _pack(packed: zipfile.ZipFile, path: Path, name: str, tell: Tell) -> None:
    info, mode = zipfile.ZipInfo(name), path.lstat().st_mode
    info.create_system, info.compress_type = 3, zipfile.ZIP_DEFLATED
    if stat.S_ISLNK(mode):
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, os.readlink(path))
        return
    info.external_attr = (stat.S_IFREG | (0o755 if mode & 0o100 else 0o644)) << 16
    with path.open("rb") as content, packed.open(info, "w", force_zip64=True) as out:
        while chunk := content.read(CHUNK):
            out.write(chunk)
            tell(len(chunk))


def sha256_of(path: Path, tell: Tell) -> str:
    """Hexadecimal; `tell` hears of the bytes read."""
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            tell(len(chunk))
    return digest.hexdigest()
