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
    if known := etags.unchanged(artifact.sha256):
        return known
    its = download(lambda: parts(current_app).storage.read(artifact.key, artifact.size), name, artifact.size)
    its.set_etag(artifact.sha256)
    return its


def made(content: bytes, name: str) -> Response:
    """A file that is made when it is asked for."""
    digest = hashlib.sha256(content).hexdigest()
    if known := etags.unchanged(digest):
        return known
    its = download(lambda: iter([content]), name, len(content))
    its.set_etag(digest)
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
