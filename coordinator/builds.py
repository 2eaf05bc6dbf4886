"""Commands on builds of the environment store: upload, complete, retire, and what a node's check has found.

Each is one transaction or two. A version is written once; only one that was rejected or never finished is replaced.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from wire.names import TASK_VERIFY, build_key

from . import audit, ledger, permissions
from .audit import Audited
from .environments import Environment, Store, environment_of
from .errors import Conflict, NotFound
from .extensions import db
from .limiting import allowance
from .models import Build, BuildCheck, Outbox
from .permissions import Action, Caller
from .storage import Storage

MEGABYTE = 1024 * 1024
UPLOAD_PATIENCE = timedelta(days=1)
MIN_PART, MOST_PARTS = 16 * MEGABYTE, 100


@dataclass(frozen=True, slots=True)
class Upload:
    """A build that somebody wants to upload: an archive of `size` bytes."""

    env_id: str
    version: str
    size: int
    sha256: str
    manifest: dict[str, Any] | None = None
    """None: it is in the archive."""


def part_size(size: int) -> int:
    """Of each part of an upload but the last, in bytes: at most a hundred parts."""
    return max(MIN_PART, -(-size // (MOST_PARTS * MEGABYTE)) * MEGABYTE)


def part_count(size: int) -> int:
    return max(1, -(-size // part_size(size)))


def size_of_part(size: int, number: int) -> int:
    """Of the part with this number, in bytes: the last one has the rest."""
    return min(part_size(size), size - (number - 1) * part_size(size))


def begin(storage: Storage, who: Caller, wanted: Upload) -> Build:
    """A build that is to be uploaded now. Raises NotAllowed, and Conflict for a version that is there or another team's
    name."""
    permissions.require(who, Action.SUBMIT)
    allowance.granted(who)
    _lock_name(wanted.env_id)
    is_new = _is_new(who, wanted.env_id)
    _make_way(storage, who, _find(wanted.env_id, wanted.version))
    allowance.check_build(db.session, who, wanted.size, is_new)
    made = uuid4()
    build = Build(id=made, env_id=wanted.env_id, version=wanted.version, owner_id=who.user_id, team_id=who.team_id,
                  sha256=wanted.sha256, size=wanted.size, manifest=wanted.manifest, key=build_key(made),
                  state="UPLOADING")  # fmt: skip
    db.session.add(build)
    note(Audited.BUILD_ANNOUNCED, build, size=build.size, sha256=build.sha256)
    db.session.commit()
    build.upload_id = storage.begin_upload(build.key)
    db.session.commit()
    return build


def uploading(who: Caller, env_id: str, version: str) -> Build:
    """A build of the caller's that is being uploaded. Raises NotFound, NotAllowed, or Conflict when it is no longer."""
    build = _to_change(who, env_id, version)
    if build.state != "UPLOADING" or build.upload_id is None:
        raise Conflict(f"Version {version!r} of environment {env_id!r} is {build.state}: nothing is to be uploaded.")
    return build


def complete(who: Caller, env_id: str, version: str, parts: list[tuple[int, str]]) -> Build:
    """All parts are in S3: from now on the build is VERIFYING. One that is so already is answered as it is."""
    build = _to_change(who, env_id, version)
    if build.state == "UPLOADING" and build.upload_id:
        wanted = part_count(build.size)
        if [number for number, _ in parts] != list(range(1, wanted + 1)):
            raise Conflict(f"The upload has {wanted} parts: name all of them, in order, from 1 on.")
        build.state, build.parts = "VERIFYING", [[number, etag] for number, etag in parts]
        note(Audited.BUILD_COMPLETED, build)
        db.session.execute(insert(Outbox).values(task=TASK_VERIFY, build_id=build.id, attempt=0, priority=0))
        db.session.execute(select(func.pg_notify(ledger.OUTBOX_CHANNEL, "")))
    db.session.commit()
    return build


def retire(who: Caller, env_id: str, version: str) -> Build:
    """Takes no new jobs any more; those that have it go on. Raises NotFound, or Conflict for one that was not READY."""
    build = _to_change(who, env_id, version)
    if build.state not in ("READY", "RETIRED"):
        raise Conflict(f"Version {version!r} of environment {env_id!r} is {build.state}; only a READY one is retired.")
    if build.state == "READY":
        build.state, build.retired_at = "RETIRED", func.now()
        note(Audited.BUILD_RETIRED, build)
    db.session.commit()
    return build


def checked(node_id: UUID, build_id: UUID, error: str | None, seconds: float, found: dict[str, Any]) -> None:
    """What a node saw when it first ran a build; what it saw last counts. Raises NotFound."""
    if (build := db.session.get(Build, build_id)) is None:
        raise NotFound(f"There is no build {build_id}.")
    row = {"error": error, "seconds": seconds, "found": found, "checked_at": func.now()}
    made = upsert(BuildCheck).values(build_id=build_id, node_id=node_id, **row)
    db.session.execute(made.on_conflict_do_update(index_elements=["build_id", "node_id"], set_=row))
    note(Audited.BUILD_CHECKED, build, reason=error, passed=error is None)
    db.session.commit()


def note(what: Audited, build: Build, **about: Any) -> None:
    """For the audit."""
    audit.note(what, f"{build.env_id}@{build.version}", build.team_id, build=str(build.id), **about)


def remove(storage: Storage, build: Build, why: str) -> None:
    """Forgets a build that nobody can train in: first what is of it in S3, then its row."""
    note(Audited.BUILD_REMOVED, build, reason=why, state=build.state)
    if build.upload_id:
        storage.abort_upload(build.key, build.upload_id)
    storage.delete(build.key)
    db.session.execute(delete(Build).where(Build.id == build.id))


def remove_unfinished(storage: Storage) -> None:
    """Removes uploads that were begun more than a day ago and never completed."""
    old = select(Build).where(Build.state == "UPLOADING", Build.created_at < func.now() - UPLOAD_PATIENCE)
    for build in db.session.scalars(old.limit(20).with_for_update(skip_locked=True)).all():
        remove(storage, build, "Its upload was not completed within a day.")
    db.session.commit()


class Builds(Store):
    """The environment store as the catalogue asks for it. Needs the app's context."""

    def ready(self, env_id: str, version: str | None) -> Environment | None:
        wanted = select(Build.id, Build.manifest).where(Build.env_id == env_id, Build.state == "READY")
        wanted = wanted.where(Build.version == version) if version else wanted.order_by(Build.ready_at.desc())
        with db.engine.connect() as connection:  # a session would cost more than the statement
            row = connection.execute(wanted.limit(1)).first()
        return environment_of(row.manifest, row.id) if row else None

    def build(self, build_id: UUID) -> Environment | None:
        found = db.session.get(Build, build_id)
        return environment_of(found.manifest, found.id) if found and found.manifest else None

    def versions(self, env_id: str) -> list[str]:
        wanted = select(Build.version).where(Build.env_id == env_id, Build.state == "READY")
        return list(db.session.scalars(wanted.order_by(Build.ready_at.desc())))

    def env_ids(self) -> list[str]:
        return list(db.session.scalars(select(Build.env_id).where(Build.state == "READY").distinct()))


def _lock_name(env_id: str) -> None:
    """Until the transaction ends, nobody else uploads under this name."""
    db.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"environment {env_id}", 0))))


def _is_new(who: Caller, env_id: str) -> bool:
    """Whether nobody has this name. Raises Conflict where another team has it."""
    first = select(Build.team_id).where(Build.env_id == env_id).order_by(Build.created_at).limit(1)
    team_id = db.session.scalar(first)
    if team_id not in (None, who.team_id):
        raise Conflict(f"Environment {env_id!r} belongs to another team: choose another name.")
    return team_id is None


def _make_way(storage: Storage, who: Caller, build: Build | None) -> None:
    if build is None:
        return
    if build.state not in ("UPLOADING", "REJECTED"):
        raise Conflict(f"Version {build.version!r} of environment {build.env_id!r} is there already ({build.state}). "
                       "Versions never change: choose another one.")  # fmt: skip
    permissions.require_change(who, build.owner_id, build.team_id)
    remove(storage, build, "Another upload of the same version takes its place.")
    db.session.flush()


def _find(env_id: str, version: str, lock: bool = True) -> Build | None:
    wanted = select(Build).where(Build.env_id == env_id, Build.version == version)
    return db.session.scalars(wanted.with_for_update() if lock else wanted).first()


def _to_change(who: Caller, env_id: str, version: str) -> Build:
    build = _find(env_id, version)
    if build is None or not permissions.may(who, Action.READ, build.team_id):
        raise NotFound(f"There is no version {version!r} of environment {env_id!r} among your builds.")
    permissions.require_change(who, build.owner_id, build.team_id)
    return build
