"""Builds that are traps, uploaded as anybody may: each is REJECTED with a sentence, and `results` goes on.

What archives can do is tried more closely in tests/unit/test_archive.py; here it goes through all the programs.
"""

import gzip
import hashlib
import stat
import struct
import tarfile
from typing import Any
from uuid import uuid4

import psutil

from services.platform import Platform, wait_until
from tests import builds
from tests.archives import in_tar, in_zip, tarred, zipped
from tests.attacks.web import Web
from tests.jobs import bearer

EXECUTABLE, MB = "maze.x86_64", 1024 * 1024


def good() -> dict[str, bytes]:
    return builds.files()


def zip_with(*more: Any) -> bytes:
    return zipped(*(in_zip(name, content) for name, content in good().items()), *more)


def tar_with(*more: Any, mode: str = "w:gz") -> bytes:
    return tarred(*(in_tar(name, content) for name, content in good().items()), *more, mode=mode)


def altered(at: bytes, offset: int, form: str, *values: int) -> bytes:
    """A good zip with other numbers behind the last of these bytes."""
    archive = bytearray(zip_with())
    struct.pack_into(form, archive, archive.rindex(at) + offset, *values)
    return bytes(archive)


def overlapping() -> bytes:
    """Two hundred names for the same ten megabytes."""
    archive = zip_with(in_zip("n0000", b"\0" * 10 * MB))
    central, end = archive.index(b"PK\x01\x02"), archive.index(b"PK\x05\x06")
    entry = archive[archive.rindex(b"PK\x01\x02") : end]
    entries = archive[central:end] + b"".join(entry.replace(b"n0000", b"n%04d" % n) for n in range(1, 200))
    count = len(good()) + 200
    return (
        archive[:central]
        + entries
        + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, len(entries), central, 0)
    )


def pax(**headers: str) -> Any:
    info, content = in_tar("x", b"a")
    info.pax_headers = headers
    return info, content


TRAPS: dict[str, tuple[bytes, str]] = {
    "a way up": (zip_with(in_zip("../../evil", b"1")), "leads out"),
    "a way up by an extended header": (tar_with(pax(path="../../evil")), "leads out"),
    "an absolute name": (tar_with(in_tar("/etc/cron.d/evil", b"1")), "absolute"),
    "a link out": (tar_with(in_tar("evil", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "absolute place"),
    "a zipped link out": (zip_with(in_zip("a/evil", b"../../etc", stat.S_IFLNK | 0o777)), "leads out"),
    "a file through a link": (
        tar_with(in_tar("l", type=tarfile.SYMTYPE, linkname="."), in_tar("l/evil", b"1")), "beneath 'l'"),
    "a hard link": (tar_with(in_tar("evil", type=tarfile.LNKTYPE, linkname="/etc/passwd")), "hard link"),
    "a device": (tar_with(in_tar("evil", type=tarfile.CHRTYPE)), "device"),
    "a sparse file": (tar_with(in_tar("evil", type=tarfile.GNUTYPE_SPARSE)), "sparse"),
    "a name twice": (zip_with(in_zip(f"./{EXECUTABLE}", b"2")), "twice"),
    "a bomb": (gzip.compress(tar_with(in_tar("evil", b"\0" * 100 * MB), mode="w:")), "zip bomb"),
    "overlapping files": (overlapping(), "damaged"),
    "another place of its contents": (altered(b"PK\x05\x06", 16, "<I", 0xFFFFFFF0), "damaged"),
    "another place of a file": (altered(b"PK\x01\x02", 42, "<I", 0xFFFFFF), "damaged"),
    "an encrypted file": (altered(b"PK\x01\x02", 8, "<H", 1), "encrypted"),
    "a cut": (zip_with()[:-60], "damaged"),
    "no archive": (b"#!/bin/sh\ntouch /tmp/evil\n", "damaged"),
}  # fmt: skip


def test_a_trap_is_rejected_with_a_sentence_and_results_goes_on(platform: Platform) -> None:
    web, headers, name = Web(platform), bearer(platform.token), f"traps-{uuid4()}"
    results = psutil.Process(platform.process("results").pid)
    for number, (what, (archive, words)) in enumerate(TRAPS.items()):
        its = verified(web, headers, archive, name, str(number))
        assert (its["state"], its["error"][-1]) == ("REJECTED", "."), what
        assert words in its["error"], what
    found = verified(web, headers, zip_with(), name, "good")
    assert found["state"] == "READY", found
    assert results.is_running()
    assert "Traceback" not in platform.log("results")


def verified(web: Web, headers: dict[str, str], archive: bytes, name: str, version: str) -> Any:
    """The version as it is shown once it has been looked at."""
    about = {"env_id": name, "version": version, "size": len(archive), "sha256": hashlib.sha256(archive).hexdigest()}
    begun = web.post(builds.URL, json=about, headers=headers)
    assert begun.status_code == 200, begun.text
    assert builds.complete(web, headers, begun.json, builds.put(begun.json, archive)).status_code == 200

    def shown() -> Any:
        versions = web.get(f"{builds.URL}/{name}", headers=headers).json["versions"]
        return next(its for its in versions if its["version"] == version)

    wait_until(lambda: shown()["state"] != "VERIFYING", 60, "the verification")
    return shown()
