"""Archives of builds: what is good comes out as it went in, what is bad is refused in a sentence and little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.archives import FORMATS, in_tar, in_zip, pack, tarred, zipped
from wire.archive import BadArchive, Limits, contents, listing, unpack

FILES = {"game": b"#!/bin/sh\n", "Game_Data/level0": os.urandom(700_000), "manifest.json": b"{}", "empty": b""}
SMALL = Limits(max_unpacked=200 * 1024**2, max_files=100)


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return in_tar(name, type=tarfile.SYMTYPE, linkname=target)


def both(tmp_path: Path, archive: bytes, limits: Limits = SMALL) -> str:
    """The sentence with which it is refused, when looked at and when unpacked: the same."""
    path, folder = tmp_path / "archive", tmp_path / "inner" / "folder"
    path.write_bytes(archive)
    folder.mkdir(parents=True)
    with pytest.raises(BadArchive) as looked_at:
        listing(io.BytesIO(archive), limits)
    with pytest.raises(BadArchive) as unpacked:
        unpack(path, folder, limits)
    assert str(looked_at.value) == str(unpacked.value)
    assert sorted(tmp_path.rglob("evil*")) == sorted(folder.rglob("evil*"))  # nothing outside
    assert str(looked_at.value).endswith(".")
    return str(looked_at.value)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_packed_comes_out_the_same(tmp_path: Path, form: str) -> None:
    (tmp_path / "archive").write_bytes(pack(FILES, form, ("game",)))
    (tmp_path / "to").mkdir()
    found = unpack(tmp_path / "archive", tmp_path / "to", SMALL)
    assert {str(p.relative_to(tmp_path / "to")): p.read_bytes() for p in (tmp_path / "to").rglob("*") if p.is_file()} \
        == FILES  # fmt: skip
    assert (found.files, found.unpacked_size, found.root) == (4, sum(map(len, FILES.values())), "")
    assert sorted(found.names) == sorted(FILES)
    assert os.access(tmp_path / "to" / "game", os.X_OK)
    assert not os.access(tmp_path / "to" / "manifest.json", os.X_OK)


@pytest.mark.parametrize("form", FORMATS)
def test_a_single_folder_at_the_top_is_no_part_of_the_names(form: str) -> None:
    file = io.BytesIO(pack({f"./Game-1.2/{name}": content for name, content in FILES.items()}, form))
    found = listing(file, SMALL)
    assert (found.root, found.is_file("game"), found.is_file("Game-1.2/game")) == ("Game-1.2", True, False)
    assert contents(file, {found.full("manifest.json"), "no"}, SMALL, 100) == {"Game-1.2/manifest.json": b"{}"}


def test_names_that_differ_only_by_case_are_two(tmp_path: Path) -> None:
    assert listing(io.BytesIO(pack({"a": b"", "A": b""})), SMALL).files == 2


def test_no_more_of_a_file_is_handed_out_than_asked_for() -> None:
    assert contents(io.BytesIO(pack({"big": b"x" * 1_000})), {"big"}, SMALL, 10) == {"big": b"x" * 11}


def test_links_inside_of_the_build_are_kept(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "archive").write_bytes(tarred(link("lib/a.so", "../real/a.so"), in_tar("real/a.so", b"so")))
    unpack(tmp_path / "archive", tmp_path / "to", SMALL)
    assert (tmp_path / "to" / "lib" / "a.so").read_bytes() == b"so"


def test_only_the_x_bit_of_a_mode_is_kept(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    for archive in (tarred(in_tar("game", b"x", mode=0o6777)), zipped(in_zip("game", b"x", 0o106777))):
        (tmp_path / "archive").write_bytes(archive)
        unpack(tmp_path / "archive", tmp_path / "to", SMALL)
        assert stat.S_IMODE((tmp_path / "to" / "game").stat().st_mode) & ~0o022 == 0o755
        (tmp_path / "to" / "game").unlink()


NAMES = {
    "../evil": "leads out", "a/../../evil": "leads out", "/tmp/evil": "absolute", "C:/evil": "absolute",  # noqa: S108
    "c:evil": "absolute", "..\\evil": "backslash", "a\\b": "backslash", "evil\x01": "control character",
    "/".join("a" * 70): "too deep", "e" * 256: "too long",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_bad_name_is_refused(tmp_path: Path, form: str, name: str) -> None:
    assert NAMES[name] in both(tmp_path, pack({"fine": b"", name: b"!"}, form))


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    assert "control character" in both(tmp_path, pack({"evilX.txt": b""}).replace(b"evilX.txt", b"evil\0.txt"))


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    assert "not UTF-8" in both(tmp_path, tarred(in_tar("evil\udcff")))


SPECIAL: dict[str, Any] = {
    "a device": (tarred(in_tar("evil", type=tarfile.CHRTYPE, devmajor=1)), "device"),
    "a block device": (tarred(in_tar("evil", type=tarfile.BLKTYPE)), "device"),
    "a pipe": (tarred(in_tar("evil", type=tarfile.FIFOTYPE)), "device, a pipe"),
    "a hard link": (tarred(in_tar("a"), in_tar("evil", type=tarfile.LNKTYPE, linkname="a")), "hard link"),
    "a hard link out": (tarred(in_tar("evil", type=tarfile.LNKTYPE, linkname="/etc/passwd")), "hard link"),
    "a zipped device": (zipped(in_zip("evil", b"", stat.S_IFCHR | 0o644)), "neither a file nor a folder"),
    "a zipped socket": (zipped(in_zip("evil", b"", stat.S_IFSOCK | 0o644)), "neither a file nor a folder"),
    "a link to a place": (tarred(link("evil", "/etc/passwd")), "absolute place"),
    "a link out": (tarred(link("a/evil", "../../etc")), "leads out of its folder"),
    "a zipped link out": (zipped(in_zip("a/evil", b"../../etc", stat.S_IFLNK | 0o777)), "leads out of its folder"),
    "a link to nothing": (tarred(link("evil", "nothing")), "not in the archive"),
    "a link that seems to stay inside": (tarred(link("x/y", ".."), link("evil", "x/y/../..")), "leads out"),
    "a file through a link": (tarred(in_tar("d/keep"), link("l", "d"), in_tar("l/evil")), "beneath 'l'"),
    "a link over a file": (tarred(in_tar("a", b"1"), link("a", "b")), "the name 'a' twice"),
    "a file over a link": (tarred(in_tar("b"), link("a", "b"), in_tar("a", b"1")), "the name 'a' twice"),
    "a name twice": (tarred(in_tar("a", b"1"), in_tar("./a", b"2")), "the name 'a' twice"),
    "a zipped name twice": (zipped(in_zip("a", b"1"), in_zip(".//a", b"2")), "the name 'a' twice"),
    "a file as a folder": (tarred(in_tar("a", b"1"), in_tar("a/b", b"2")), "beneath 'a', which is a file"),
    "a folder as a file": (tarred(in_tar("a/b", b"1"), in_tar("a", b"2")), "the name 'a' twice"),
    "a file without a name": (zipped(in_zip(".", b"1")), "without a name"),
}


@pytest.mark.parametrize("what", SPECIAL)
def test_tricks_are_refused(tmp_path: Path, what: str) -> None:
    archive, said = SPECIAL[what]
    assert said in both(tmp_path, archive)


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    archive = bytearray(pack({"evil": b"secret"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    archive[6] |= 1
    assert both(tmp_path, bytes(archive)) == "The archive's 'evil' is encrypted."


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_methods_of_zip_are_refused(tmp_path: Path, method: int) -> None:
    assert "other than store and deflate" in both(tmp_path, zipped(in_zip("evil", b"x", compress_type=method)))


@pytest.mark.parametrize("form", FORMATS)
def test_too_many_files_are_refused(tmp_path: Path, form: str) -> None:
    files = {f"{n}": b"" for n in range(101)}
    assert both(tmp_path, pack(files, form)) == "The archive has more than 100 files."


@pytest.mark.parametrize("form", FORMATS)
def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, form: str) -> None:
    archive = pack({"evil": os.urandom(1_200_000)}, form)
    assert "more than 1 MB" in both(tmp_path, archive, Limits(max_unpacked=1024**2))


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.archive.FREE_BYTES", 4_000_000)
    archive = pack({"evil": b"\0" * 32_000_000}, form)
    tracemalloc.start()
    try:
        assert "zip bomb" in both(tmp_path, archive)
        assert tracemalloc.get_traced_memory()[1] < 24_000_000
    finally:
        tracemalloc.stop()


def test_a_header_that_says_less_than_there_is_is_no_way_around(tmp_path: Path) -> None:
    archive = bytearray(pack({"evil": b"\0" * 10_000_000}))
    entry = archive.index(b"PK\x01\x02")
    struct.pack_into("<I", archive, entry + 24, 10)
    assert "damaged" in both(tmp_path, bytes(archive))


def test_a_long_name_of_many_megabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 20_000_000
    archive = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 20_000_000 + in_tar("b")[0].tobuf())
    tracemalloc.start()
    try:
        assert "headers" in both(tmp_path, archive)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


BROKEN = [
    b"", b"nonsense", os.urandom(5_000), b"PK\x03\x04" + b"\0" * 100, b"\x1f\x8b" + b"\xff" * 100,
    b"BZh9" + b"\xff" * 100, b"\xfd7zXZ\0" + b"\xff" * 100, gzip.compress(b"no tar"), bz2.compress(b""),
    pack(FILES)[:-100], *(pack(FILES, form)[:5_000] for form in FORMATS),
]  # fmt: skip


@pytest.mark.parametrize("archive", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, archive: bytes) -> None:
    assert "damaged, or is no zip or tar" in both(tmp_path, archive)


def test_an_archive_of_many_compressed_pieces_is_read_to_its_end() -> None:
    whole = pack(FILES, "tar")
    pieces = b"".join(gzip.compress(whole[at : at + 100_000]) for at in range(0, len(whole), 100_000))
    assert listing(io.BytesIO(pieces + b"\0" * 512), SMALL).files == 4
