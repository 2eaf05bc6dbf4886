"""REST for limits: what they are, what of them is used; and operators set them."""

from typing import Annotated, Literal

from flask import Blueprint, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import Field

from ..accounts import teams, users
from ..extensions import db
from ..limiting import usage
from ..limiting.limit_kinds import KINDS
from ..models import Team, User
from ..parts import parts
from ..permissions import Action
from . import auth
from .auth import needs
from .described import tells
from .forms.limits import LimitForm
from .parameters import OfSubject
from .schemas import Body, body

blueprint = Blueprint("limits", __name__, url_prefix="/api/v1/limits")


class LimitBody(Body):
    """How much from now on; 0: no limit."""

    value: Annotated[int, Field(ge=0, le=2**53)]


@blueprint.get("")
@needs(Action.SEE_ITSELF)
@tells(list[LimitForm], query=OfSubject, refuses={404: ""})
def index() -> ResponseReturnValue:
    """The caller's limits, those of the team that his token is for, and those of the installation.

    With `user` or `team`, those of that one: of others, operators may see them.
    """
    who, user, team = auth.user(), request.args.get("user"), request.args.get("team")
    if user is not None:
        auth.require_unless(user == who.name, Action.MANAGE_INSTALLATION)
        return jsonify(_of(users.named(user)))
    if team is not None:
        found = teams.acting_in(who, team, Action.SEE_TEAM)
        return jsonify(_of(teams.named(found.team)))
    return jsonify(_of(users.named(who.name)) + _of(teams.named(who.team)) + _of_installation())


@blueprint.put("/users/<user>/<limit>")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[LimitForm], body=LimitBody)
def put_of_user(user: str, limit: str) -> ResponseReturnValue:
    """The user's limits, after one was set."""
    return _put(users.named(user), limit, body(LimitBody).value)


@blueprint.delete("/users/<user>/<limit>")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[LimitForm])
def reset_of_user(user: str, limit: str) -> ResponseReturnValue:
    """The same, after one is the usual one again."""
    return _put(users.named(user), limit, None)


@blueprint.put("/teams/<team>/<limit>")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[LimitForm], body=LimitBody)
def put_of_team(team: str, limit: str) -> ResponseReturnValue:
    """The team's limits, after one was set."""
    return _put(teams.named(team), limit, body(LimitBody).value)


@blueprint.delete("/teams/<team>/<limit>")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[LimitForm])
def reset_of_team(team: str, limit: str) -> ResponseReturnValue:
    """The same, after one is the usual one again."""
    return _put(teams.named(team), limit, None)


def _put(subject: User | Team, limit: str, value: int | None) -> ResponseReturnValue:
    """None: the usual one."""
    parts(current_app).limits.put(limit, value, subject)
    return jsonify(_of(subject))


def _of(subject: User | Team) -> list[LimitForm]:
    limits = parts(current_app).limits
    if isinstance(subject, User):
        return _shown("user", subject, limits.of_user(subject.id), limits.users)
    return _shown("team", subject, limits.of_team(subject.id), limits.teams)


def _shown(
    whose: Literal["user", "team"], subject: User | Team, its: dict[str, int], usual: dict[str, int]
) -> list[LimitForm]:
    used = usage.of(db.session, whose, subject.id)
    used["sockets"] = parts(current_app).meters.sockets.count(str(subject.id))
    return [
        {"name": kind.name, "meaning": kind.meaning, "of": whose, "who": subject.name, "value": its[kind.name] or None,
         "used": used.get(kind.name), "is_usual": its[kind.name] == usual[kind.name]}
        for kind in KINDS.values()
    ]  # fmt: skip


def _of_installation() -> list[LimitForm]:
    """Everybody's, which the operator's settings say."""
    config = parts(current_app).config
    those = {"body_bytes": ("bytes of a request's body", config.max_body_bytes),
             "build_mb": ("MB of one build", config.build_max_mb),
             "recording_mb": ("MB of recorded episodes of one job", config.recording_max_mb),
             "time_limit": ("seconds for which a job may train", config.max_time_limit)}  # fmt: skip
    return [
        {"name": name, "meaning": meaning, "of": "installation", "who": None, "value": value or None, "used": None,
         "is_usual": True}
        for name, (meaning, value) in those.items()
    ]  # fmt: skip
