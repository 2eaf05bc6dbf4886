"""The task coord.verify: an uploaded build becomes READY, or REJECTED with a sentence that says why.

It is read from S3 as it comes, without a copy. Any number of copies of the task may run, one at a time does the work.
"""

import hashlib
import io
import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import delete, func, update

from wire.archive import BadArchive, Limits, Listing, contents, listing
from wire.names import TASK_VERIFY

from . import manifests
from .alone import alone
from .audit import Audited
from .builds import MEGABYTE, note
from .config import Config
from .environments import TRAINERS
from .errors import BadRequest, RejectedBuild
from .extensions import db
from .models import Build, Outbox
from .options import hyperparameters
from .storage import Storage
from .stored_file import StoredFile

log = logging.getLogger(__name__)
CHUNK = 1024 * 1024
AT_ONCE = threading.BoundedSemaphore(2)
"""Of the threads of a `results` worker, the others are for outcomes."""


def limits_of(config: Config) -> Limits:
    return Limits(config.build_max_unpacked_mb * MEGABYTE, config.build_max_files)


def verify(storage: Storage, limits: Limits, build_id: UUID) -> None:
    """Does what is to be done with the build; nothing when another copy of the task is at it. Raises Unavailable."""
    if not AT_ONCE.acquire(blocking=False):
        return  # the outbox sends it again
    try:
        with alone(f"verify {build_id}") as is_alone:
            if is_alone:
                _verify(storage, limits, build_id)
    finally:
        AT_ONCE.release()


def _verify(storage: Storage, limits: Limits, build_id: UUID) -> None:
    build = db.session.get(Build, build_id)
    if build is not None and build.state == "VERIFYING":
        db.session.expunge(build)
        db.session.commit()  # no connection waits while gigabytes are read
        _settle(build, _look_into(storage, limits, build))
        build = db.session.get(Build, build_id)
    if build is not None and build.state == "REJECTED":
        storage.delete(build.key)
    db.session.execute(delete(Outbox).where(Outbox.task == TASK_VERIFY, Outbox.build_id == build_id))
    db.session.commit()


def _settle(build: Build, found: dict[str, Any]) -> None:
    """Writes what was found, unless the build has gone meanwhile."""
    row = update(Build).where(Build.id == build.id, Build.state == "VERIFYING").returning(Build.id)
    ready = {"ready_at": func.clock_timestamp()} if found["state"] == "READY" else {}
    if db.session.execute(row.values(**found, **ready, upload_id=None, parts=None)).first():
        note(Audited(f"build.{found['state'].lower()}"), build, reason=found["error"])
    db.session.commit()
    log.info("Build %s is %s. %s", build.id, found["state"], found.get("error", ""))


def _look_into(storage: Storage, limits: Limits, build: Build) -> dict[str, Any]:
    """The columns of a build that is READY or REJECTED."""
    try:
        _join(storage, build)
        _check_bytes(storage, build)
        with io.BufferedReader(StoredFile(storage, build.key, build.size), CHUNK) as file:
            return _looked_into(cast(BinaryIO, file), limits, build)
    except BadArchive as error:
        return {"state": "REJECTED", "error": str(error)}
    except (RejectedBuild, BadRequest) as error:
        return {"state": "REJECTED", "error": error.detail}


def _join(storage: Storage, build: Build) -> None:
    if build.upload_id:
        storage.complete_upload(build.key, build.upload_id, [(number, etag) for number, etag in build.parts or []])


def _check_bytes(storage: Storage, build: Build) -> None:
    """Size and SHA-256 are those that the owner said."""
    if (size := storage.size(build.key)) != build.size:
        raise RejectedBuild(f"The upload has {size} bytes; {build.size} were announced.")
    digest = hashlib.sha256()
    with closing(StoredFile(storage, build.key, build.size)) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != build.sha256:
        raise RejectedBuild(f"The upload's SHA-256 is {digest.hexdigest()}; {build.sha256} was announced.")


def _looked_into(file: BinaryIO, limits: Limits, build: Build) -> dict[str, Any]:
    found = listing(file, limits)

    def read(name: str) -> bytes | None:
        full = found.full(name)
        return contents(file, {full}, limits, manifests.MAX_BYTES).get(full) if found.is_file(name) else None

    manifest = _manifest(build, found, read)
    checked = manifests.check(manifest, build.env_id, build.version)
    if checked.executable and not found.is_file(checked.executable):
        where = f" (in its folder {found.root!r})" if found.root else ""
        raise RejectedBuild(f"The executable {checked.executable!r} is not in the archive{where}.")
    manifest = manifests.configured(manifest, checked, read)
    for name, behaviour in manifest["behaviours"].items():
        hyperparameters.check_build(TRAINERS[checked.kind], behaviour, name)
    return {"state": "READY", "error": None, "manifest": manifest | {"env_id": build.env_id, "version": build.version},
            "unpacked_size": found.unpacked_size, "files": found.files}  # fmt: skip


def _manifest(build: Build, found: Listing, read: Callable[[str], bytes | None]) -> dict[str, Any]:
    """The one that was sent with the upload counts; otherwise the archive's."""
    if build.manifest is not None:
        return build.manifest
    raw = read(manifests.MANIFEST)
    if raw is None:
        where = f" (in its folder {found.root!r})" if found.root else ""
        raise RejectedBuild(
            f"There is no {manifests.MANIFEST} in the archive{where}, and none was sent with the upload."
        )
    return manifests.read(raw)
