"""REST for operators: the installation's users and teams."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from ..accounts import credentials, installation, teams, tokens, users
from ..errors import Conflict
from ..permissions import Action, Scope
from . import account_views as views
from . import auth, listing
from .accounts import USUAL_DAYS
from .auth import needs
from .described import tells
from .forms.people import MemberForm, NewUser, UserForm
from .parameters import Paged, PageOfUsers
from .schemas import Body, Name, body

blueprint = Blueprint("installation", __name__, url_prefix="/api/v1")


class UserBody(Body):
    """A user who is to be made."""

    name: Name


class UserChangeBody(Body):
    """What a user is to be from now on; what is not said stays."""

    is_operator: bool | None = None
    is_disabled: bool | None = None


class TeamBody(Body):
    """A team that is to be made, with its first owner."""

    name: Name
    owner: Name


@blueprint.get("/users")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[UserForm], query=PageOfUsers, sends=Paged)
def list_users() -> ResponseReturnValue:
    """Everybody, by name."""
    page = users.page(listing.asked(users.ORDERS, "name"))
    return listing.answer(page, [views.user(*listed) for listed in page.rows])


@blueprint.post("/users")
@needs(Action.MANAGE_INSTALLATION)
@tells(NewUser, body=UserBody, refuses={409: "There is a user of that name."})
def create_user() -> ResponseReturnValue:
    """A new user with his key, by which he makes his other tokens. Its text is in this answer and nowhere else."""
    name = body(UserBody).name
    if users.exists(name):
        raise Conflict(f"There is a user {name!r} already.")
    user = users.made(name)
    ends = credentials.expiry(USUAL_DAYS)
    key = tokens.create_for_user(name, scope=Scope.ADMIN, name="first key", expires_at=ends)
    return jsonify(views.user(user, None) | {"token": key})


@blueprint.put("/users/<user>")
@needs(Action.MANAGE_INSTALLATION)
@tells(
    UserForm,
    body=UserChangeBody,
    refuses={409: "That is the caller, or one who can't be an operator."},
)
def change_user(user: str) -> ResponseReturnValue:
    """Makes him an operator or disables him, or takes that back. Nobody changes himself, so one operator stays."""
    found, wanted = users.named(user), body(UserChangeBody)
    if found.id == auth.user().user_id:
        raise Conflict("You cannot change yourself: ask another operator.")
    changed = installation.change(found, is_operator=wanted.is_operator, is_disabled=wanted.is_disabled)
    return jsonify(views.user(changed, None))


@blueprint.post("/teams")
@needs(Action.MANAGE_INSTALLATION)
@tells(list[MemberForm], body=TeamBody, refuses={404: "There is no such user.", 409: "There is a team of that name."})
def create_team() -> ResponseReturnValue:
    """A new team; the answer says who is in it, which its owner changes."""
    wanted = body(TeamBody)
    team = teams.created(wanted.name, users.named(wanted.owner))
    return jsonify([views.member(it) for it in teams.memberships(team_id=team.id)])
