"""Archives as studios make them, and as nobody should."""

import io
import tarfile
import zipfile
from typing import Any

FORMATS = {"zip": "", "tar": "w:", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def in_tar(name: str, content: bytes = b"", **its: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    for field, value in its.items():
        setattr(info, field, value)
    return info, content


def zipped(*members: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return out.getvalue()


def in_zip(name: str, content: bytes = b"", mode: int = 0o100644, **its: Any) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("x")
    info.filename = name
    info.external_attr, info.create_system, info.compress_type = mode << 16, 3, zipfile.ZIP_DEFLATED
    for field, value in its.items():
        setattr(info, field, value)
    return info, content


def pack(files: dict[str, bytes], form: str = "zip", executables: tuple[str, ...] = ()) -> bytes:
    """An archive in one of FORMATS."""
    if form == "zip":
        return zipped(*(in_zip(name, content, 0o100755 if name in executables else 0o100644)
                        for name, content in files.items()))  # fmt: skip
    return tarred(*(in_tar(name, content, mode=0o755 if name in executables else 0o644)
                    for name, content in files.items()), mode=FORMATS[form])  # fmt: skip
