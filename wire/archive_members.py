"""What lies in a zip or tar, one member after the other. What it is, its first bytes say, not its name.

Little of it is ever in memory: no header is believed when it announces much, and contents come in chunks.
"""

import bz2
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from .archive_names import FILE, FOLDER, LINK, BadArchive

CHUNK = 256 * 1024
MAX_LINK_BYTES = 1_000
XZ_MEMORY = 128 * 1024 * 1024
"""xz -9 needs 65 MB to unpack; a header may ask for 4 GB."""
HEADER_BYTES, HEADER_BYTES_EACH = 4 * 1024 * 1024, 4_096
DIRECTORY_BYTES_EACH = 1_500
UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, OverflowError,
              NotImplementedError, RecursionError)  # fmt: skip
"""What the standard library raises for archives that are damaged. An OSError is the disk's, not the archive's."""


@dataclass(frozen=True, slots=True)
class Member:
    """One entry under the name it was given; of a link, `target` is where it leads."""

    name: str
    kind: str
    chunks: Callable[[], Iterator[bytes]]
    """Its content; to be read before the next member is asked for."""
    is_executable: bool = False
    target: str = ""


def members(file: BinaryIO, max_members: int) -> Iterator[Member]:
    """Every member of the archive, which `file` is at the beginning of and can be sought in. Raises BadArchive."""
    start = file.read(6)
    file.seek(0)
    with readable():
        yield from _zip(file, max_members) if start[:4] in (b"PK\x03\x04", b"PK\x05\x06") else _tar(file, start)


@contextmanager
def readable() -> Iterator[None]:
    """Whatever damage is found in here is a BadArchive."""
    try:
        yield
    except BadArchive:
        raise
    except UNREADABLE as error:
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadArchive(f"The archive is damaged, or is no zip or tar (plain, gz, bz2 or xz): {what}.") from error


class _Bounded:
    """A file of which nobody reads more at once than so many bytes: a zip's directory is read as a whole."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise BadArchive("The archive's directory is larger than that of as many files as a build may have.")
        return self._file.read(self._most if size < 0 else size)


def _zip(file: BinaryIO, max_members: int) -> Iterator[Member]:
    bounded: Any = _Bounded(file, 1024 * 1024 + max_members * DIRECTORY_BYTES_EACH)
    with zipfile.ZipFile(bounded) as archive:
        for info in archive.infolist():
            yield _zip_member(archive, info)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name, mode = info.orig_filename, info.external_attr >> 16 if info.create_system == 3 else 0
    if info.flag_bits & 0x1:
        raise BadArchive(f"The archive's {name[:120]!r} is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadArchive(f"The archive's {name[:120]!r} is packed by a method other than store and deflate.")

    def chunks() -> Iterator[bytes]:
        with archive.open(info) as content:
            yield from iter(lambda: content.read(CHUNK), b"")

    if stat.S_ISLNK(mode):
        return Member(name, LINK, chunks, target=_target(name, chunks()))
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"The archive's {name[:120]!r} is neither a file nor a folder.")
    is_folder = info.is_dir() or stat.S_ISDIR(mode)
    return Member(name, FOLDER if is_folder else FILE, chunks, bool(mode & 0o111))


def _target(name: str, chunks: Iterator[bytes]) -> str:
    target = next(chunks, b"")
    if len(target) > MAX_LINK_BYTES:
        raise BadArchive(f"The archive's link {name[:120]!r} leads to a name of more than {MAX_LINK_BYTES} bytes.")
    return target.decode()  # of what is not UTF-8, it raises ValueError


def _tar(file: BinaryIO, start: bytes) -> Iterator[Member]:
    stream = _Unpacking(file, start)
    bounded: Any = stream
    with tarfile.open(fileobj=bounded, mode="r|", bufsize=CHUNK, tarinfo=_Header, encoding="utf-8") as archive:
        while info := archive.next():
            stream.allowed += HEADER_BYTES_EACH + info.size
            if len(archive.pax_headers) > 100:
                raise BadArchive("The archive has too many global headers.")
            vars(archive)["members"] = []  # it would remember every one
            yield _tar_member(archive, info)


class _Header(tarfile.TarInfo):
    """Refuses at once what would make tarfile read on and on."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str | None, errors: str) -> Any:
        its = super().frombuf(buf, encoding or "utf-8", errors)
        if its.type == tarfile.GNUTYPE_SPARSE:
            raise BadArchive(f"The archive's {its.name[:120]!r} is a sparse file; pack it without --sparse.")
        if its.size < 0 or (its.type == tarfile.XGLTYPE and its.size > 65_536):
            raise BadArchive("The archive has a header of an impossible size.")
        return its


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    shown = repr(info.name[:120])
    if info.islnk():
        raise BadArchive(f"The archive's {shown} is a hard link; pack it with tar --hard-dereference.")
    if info.issparse():
        raise BadArchive(f"The archive's {shown} is a sparse file; pack it without --sparse.")
    if not (info.isreg() or info.isdir() or info.issym()):
        raise BadArchive(f"The archive's {shown} is a device, a pipe or of another special kind.")
    kind = LINK if info.issym() else FOLDER if info.isdir() else FILE
    chunks = partial(_tar_chunks, archive, info)
    return Member(info.name, kind, chunks, bool(info.mode & 0o111), info.linkname if kind == LINK else "")


def _tar_chunks(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    content, left = archive.extractfile(info), info.size
    while content and left:
        chunk = content.read(min(CHUNK, left))
        left -= len(chunk)
        yield chunk


class _Unpacking(io.RawIOBase):
    """The bytes of a tar out of its compression, forwards only; headers may take no more of them than allowed."""

    def __init__(self, file: BinaryIO, start: bytes) -> None:
        self._file, self._make = file, _decompressor(start)
        self._unpacker: Any = self._make() if self._make else None
        self._packed = b""
        self.allowed = HEADER_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes, fewer only at the end."""
        out, wanted = [], CHUNK if size is None or size < 0 else size
        while wanted and (chunk := self._some(wanted)):
            out.append(chunk)
            wanted -= len(chunk)
        found = b"".join(out)
        self.allowed -= len(found)
        if self.allowed < 0:
            raise BadArchive("The archive has headers that are far too long.")
        return found

    def _some(self, most: int) -> bytes:
        if self._unpacker is None or self._make is None:
            return self._file.read(most)
        while True:
            if self._unpacker.eof:  # several streams may follow each other; what is no stream is padding
                self._packed = self._unpacker.unused_data or self._file.read(CHUNK)
                if not self._packed.strip(b"\0"):
                    return b""
                self._unpacker = self._make()
            elif not self._packed and self._unpacker.needs_input:
                self._packed = self._file.read(CHUNK)
                if not self._packed:
                    raise EOFError("it ends before its end")
            packed, self._packed = self._packed, b""
            if chunk := self._decompress(packed, most):
                return chunk

    def _decompress(self, packed: bytes, most: int) -> bytes:
        try:
            return bytes(self._unpacker.decompress(packed, most))
        except OSError as error:  # bz2 calls bad data so
            raise EOFError(str(error)) from error


class _Gzip:
    """zlib's way to unpack, under the names that bz2 and lzma have for theirs."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._has_more = False

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and not self._has_more

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, packed: bytes, most: int) -> bytes:
        chunk = self._zlib.decompress(self._zlib.unconsumed_tail + packed, most)
        self._has_more = len(chunk) == most  # it may hold back output, with all input taken
        return chunk


def _decompressor(start: bytes) -> Callable[[], Any] | None:
    if start[:2] == b"\x1f\x8b":
        return _Gzip
    if start[:3] == b"BZh":
        return bz2.BZ2Decompressor
    if start[:6] == b"\xfd7zXZ\0":
        return lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY)
    return None
