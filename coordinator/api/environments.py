"""REST for studios: upload builds of environments, list and show what there is, retire what is not to be used."""

from typing import Annotated

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import Field

from .. import builds, manifests, pages, queries
from ..builds import MEGABYTE, part_count, part_size, size_of_part
from ..errors import BadRequest, Conflict, NotFound
from ..models import Build
from ..parts import parts
from ..permissions import Action
from . import auth, listing, views
from .auth import needs
from .described import tells
from .forms.environments import BuildForm, EnvironmentInFull, ListedEnvironment, UploadForm
from .parameters import Paged, PageOfEnvironments
from .schemas import Body, Object, body

blueprint = Blueprint("environments", __name__, url_prefix="/api/v1/environments")
ORDERS: pages.Keys[ListedEnvironment] = {"env_id": lambda its: (its["env_id"],)}
VERSION = "/<env_id>/versions/<version>"
MAX_BODY = 512 * 1024
"""A manifest may have half of it."""
Id = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NewBuildBody(Body):
    """An archive that is to be uploaded. Its manifest is in it, unless it comes with this."""

    env_id: Id
    version: Id
    size: Annotated[int, Field(ge=1, le=2**50)]
    sha256: Digest
    manifest: Object | None = None


class Part(Body):
    """A part that was PUT, with the ETag that S3 answered."""

    number: Annotated[int, Field(ge=1, le=10_000)]
    etag: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class PartsBody(Body):
    """All parts of an upload, in order."""

    parts: Annotated[list[Part], Field(min_length=1, max_length=10_000)]


class NumbersBody(Body):
    """The parts that are still to be uploaded."""

    numbers: Annotated[list[Annotated[int, Field(ge=1, le=10_000)]], Field(max_length=10_000)] | None = None


@blueprint.post("")
@needs(Action.SUBMIT)
@tells(UploadForm, body=NewBuildBody, refuses={409: "There is that version already, or it is being uploaded."})
def upload() -> ResponseReturnValue:
    """A place for a new version: links by which its parts go straight to S3."""
    who = auth.user()
    request.max_content_length = MAX_BODY
    wanted, its = body(NewBuildBody), parts(current_app)
    if wanted.size > its.config.build_max_mb * MEGABYTE:
        raise BadRequest(
            f"size: A build may have at most {its.config.build_max_mb} MB, not {wanted.size / MEGABYTE:.0f}."
        )
    if wanted.env_id in its.catalogue.environments and not who.is_operator:
        raise Conflict(f"Environment {wanted.env_id!r} comes with the installation: choose another name.")
    if wanted.manifest is not None:
        manifests.check(wanted.manifest, wanted.env_id, wanted.version)
    new = builds.Upload(wanted.env_id, wanted.version, wanted.size, wanted.sha256, wanted.manifest)
    return _links(builds.begin(its.storage, who, new), None)


@blueprint.post(VERSION + "/parts")
@needs(Action.CHANGE_OWN)
@tells(UploadForm, body=NumbersBody, refuses={409: "The version is not being uploaded."})
def links(env_id: str, version: str) -> ResponseReturnValue:
    """Fresh links: those of an upload do not last."""
    build = builds.uploading(auth.user(), env_id, version)
    return _links(build, body(NumbersBody).numbers)


@blueprint.post(VERSION + "/complete")
@needs(Action.CHANGE_OWN)
@tells(BuildForm, body=PartsBody, refuses={409: "The version is not being uploaded."})
def complete(env_id: str, version: str) -> ResponseReturnValue:
    """Every part is there: what has come is verified now."""
    who = auth.user()
    request.max_content_length = MAX_BODY
    done = [(part.number, part.etag) for part in body(PartsBody).parts]
    return jsonify(views.build(builds.complete(who, env_id, version, done)))


@blueprint.post(VERSION + "/retire")
@needs(Action.CHANGE_OWN)
@tells(BuildForm, refuses={409: "The version is not READY."})
def retire(env_id: str, version: str) -> ResponseReturnValue:
    """The version takes no new jobs."""
    build = builds.retire(auth.user(), env_id, version)
    parts(current_app).catalogue.forget(env_id)
    return jsonify(views.build(build))


@blueprint.get("")
@needs(Action.READ)
@tells(list[ListedEnvironment], query=PageOfEnvironments, sends=Paged)
def index() -> ResponseReturnValue:
    """What can be trained in, and the caller's own builds that cannot (yet, or any more)."""
    catalogue = parts(current_app).catalogue
    rows = _by_name(queries.builds_of(auth.user()))
    stored = [views.environment(env_id, its) for env_id, its in rows.items()]
    installed = [views.installed(it) for it in catalogue.environments.values() if it.env_id not in rows]
    kind, source = listing.wanted_text("kind"), listing.wanted_text("source")
    found = [it for it in stored + installed if kind in (None, it["kind"]) and source in (None, it["source"])]
    return listing.of_rows(found, ORDERS, "env_id", lambda its: its)


@blueprint.get("/<env_id>")
@needs(Action.READ)
@tells(EnvironmentInFull)
def show(env_id: str) -> ResponseReturnValue:
    """One environment, each of its versions with its behaviours and with what nodes found."""
    found = queries.builds_of(auth.user(), env_id)
    if found:
        checks = queries.checks_of([build.id for build in found])
        details = [views.build_in_full(build, checks.get(build.id, [])) for build in found]
        return jsonify(views.environment(env_id, found) | {"versions": details})
    if installed := parts(current_app).catalogue.environments.get(env_id):
        return jsonify(views.installed(installed))
    raise NotFound(f"There is no environment {env_id!r}.")


def _by_name(rows: list[Build]) -> dict[str, list[Build]]:
    found: dict[str, list[Build]] = {}
    for build in rows:
        found.setdefault(build.env_id, []).append(build)
    return found


def _links(build: Build, numbers: list[int] | None) -> ResponseReturnValue:
    """`numbers` None: of all parts."""
    storage, upload_id, count = parts(current_app).storage, build.upload_id or "", part_count(build.size)
    wanted = range(1, count + 1) if numbers is None else sorted({number for number in numbers if number <= count})
    made = [
        {"number": n, "url": storage.part_link(build.key, upload_id, n, size_of_part(build.size, n))} for n in wanted
    ]
    return jsonify(views.build(build) | {"part_size": part_size(build.size), "parts": made})
