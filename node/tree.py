"""Folders of files: their hash, their size, made read-only, removed whatever their modes."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

CACHES = "__pycache__"  # written by a Python environment into its own folder, where it may


def tree_sha256(folder: Path) -> str:
    """SHA-256 of names, contents and executable bits of all files below, in the order of their names.

    Times, owners and what Python compiles there do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(folder), key=lambda path: os.fsencode(path.relative_to(folder))):
        name = os.fsencode(path.relative_to(folder))
        digest.update(b"%b %b %b\0" % (_kind(path), _content(path), name))
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile has none."""
    if not path.is_dir():
        return _size(path)
    return sum(_size(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)


def make_read_only(folder: Path) -> None:
    """Files stay executable where they are. A node that runs as root can write all the same."""
    for path in [*_files(folder), *_folders(folder)]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555 | 0o400)


def remove(path: Path) -> None:
    """Removes a file, or a folder with all in it. What carries a complete build's name loses that first."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    doomed = path.with_name(f"{path.name.partition('.')[0]}.removed")
    if doomed != path:
        remove(doomed)
        path.rename(doomed)
    for folder in _folders(doomed):
        folder.chmod(0o700)
    shutil.rmtree(doomed)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        if CACHES in folders:
            folders.remove(CACHES)
        yield from (Path(where, name) for name in [*names, *folders] if name in names or Path(where, name).is_symlink())


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    for where, names, _ in os.walk(folder):
        yield from (Path(where, name) for name in names if not Path(where, name).is_symlink())


def _kind(path: Path) -> bytes:
    if path.is_symlink():
        return b"link"
    return b"program" if path.stat().st_mode & 0o100 else b"file"


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(os.readlink(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
