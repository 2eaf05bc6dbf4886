"""Answers that are files: streamed, never held in memory; a HEAD reads nothing from storage."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain

from flask import Response, current_app, request

from ..models import Artifact
from ..parts import parts
from . import etags
from .described import Bytes
from .parameters import Attachment, StoredFile

FILE = Bytes("application/octet-stream", "The bytes of the file.", Attachment)
STORED = Bytes("application/octet-stream", "The bytes of the file.", StoredFile)


def stored(artifact: Artifact, name: str) -> Response:
    """A file in storage, which never changes. Raises Unavailable where it can't be read at the moment, Gone where it
    never can again."""
    key, size, storage = artifact.key, artifact.size, parts(current_app).storage
    return _tagged(artifact.sha256, size, name, lambda part: storage.read(key, size, part))


def made(content: bytes, name: str) -> Response:
    """A file that is made when it is asked for."""
    digest = hashlib.sha256(content).hexdigest()

    def read(part: range | None) -> Iterator[bytes]:
        yield content[part.start : part.stop] if part else content

    return _tagged(digest, len(content), name, read)


def _tagged(etag: str, size: int, name: str, read: Callable[[range | None], Iterator[bytes]]) -> Response:
    """All of it, the part that is asked for, or 304."""
    if known := etags.unchanged(etag):
        return known
    part = etags.part(etag, size)
    its = download(lambda: read(part), name, len(part) if part else size)
    if part:
        its.status_code = 206
        its.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    its.headers["Accept-Ranges"] = "bytes"
    its.set_etag(etag)
    return its


def begun(content: Iterator[bytes]) -> Iterator[bytes]:
    """The same, its first chunk fetched now: what fails there becomes an answer, not a broken download."""
    return chain([next(content, b"")], content)


def download(content: Callable[[], Iterator[bytes]], name: str, size: int | None) -> Response:
    """200 with the bytes; `size` where it is known before."""
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    if size is not None:
        headers["Content-Length"] = str(size)
    body = iter(()) if request.method == "HEAD" else content()
    return Response(body, mimetype="application/octet-stream", headers=headers)
