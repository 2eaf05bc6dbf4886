"""REST for people: who am I, my tokens, the teams I am in and who else is."""

from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from pydantic import Field

from .. import pages, queries
from ..accounts import credentials, teams, tickets, tokens, users
from ..models import Token
from ..permissions import Action, Role
from . import account_views as views
from . import auth, listing
from .auth import needs
from .described import tells
from .forms.jobs import Ticket
from .forms.people import Me, MemberForm, NewToken, TeamForm, TokenForm
from .parameters import Paged, PageOfMembers, PageOfTeams, PageOfTokens
from .schemas import Body, Name, body

blueprint = Blueprint("accounts", __name__, url_prefix="/api/v1")
TOKENS: pages.Keys[credentials.Listed] = {
    "created_at": lambda its: (pages.moment(its.row.created_at), str(its.row.id)),
    "name": lambda its: (its.row.name, str(its.row.id)),
}
TEAMS: pages.Keys[teams.Membership] = {"name": lambda its: (its.team,)}
MEMBERS: pages.Keys[teams.Membership] = {"user": lambda its: (its.user,)}
ROLES = [str(role) for role in Role if role is not Role.OPERATOR]
USUAL_DAYS, MOST_DAYS = 90, 3_650
MEMBER = "/teams/<team>/members/<user>"


class TokenBody(Body):
    """A token that is to be made; for the team of the token that asks for it, when no other is named."""

    name: Name
    scope: Literal["read", "write", "admin"] = "write"
    team: Name | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = USUAL_DAYS


class MemberBody(Body):
    """What a user is to be in a team."""

    role: Literal["viewer", "member", "owner"]


@blueprint.get("/me")
@needs(Action.SEE_ITSELF)
@tells(Me)
def me() -> ResponseReturnValue:
    """For whom this token speaks, where, and for how long."""
    return jsonify(views.caller(auth.user()))


@blueprint.get("/tokens")
@needs(Action.MANAGE_OWN_TOKENS)
@tells(list[TokenForm], query=PageOfTokens, sends=Paged, refuses={404: "There is no such team."})
def list_tokens() -> ResponseReturnValue:
    """The caller's own tokens, as far as the one he sends reaches; or those of everybody for a `team` that he owns."""
    who, team = auth.user(), listing.wanted_text("team")
    if team is not None:
        found = credentials.listed(team_id=teams.acting_in(who, team, Action.MANAGE_TEAM).team_id)
    else:
        found = credentials.listed(user_id=who.user_id, team_id=None if who.is_the_users_key else who.team_id)
    return listing.of_rows(found, TOKENS, "-created_at", lambda its: views.token(*its))


@blueprint.post("/tokens")
@needs(Action.MANAGE_OWN_TOKENS)
@tells(NewToken, body=TokenBody, refuses={404: "There is no such team.", 409: "An operator who is not in it asks."})
def create_token() -> ResponseReturnValue:
    """A new token of the caller's. Its text is in this answer and nowhere else."""
    who, wanted = auth.user(), body(TokenBody)
    there = teams.acting_in(who, wanted.team or who.team, Action.MANAGE_OWN_TOKENS)
    teams.require_member(there)
    made = Token(user_id=who.user_id, team_id=there.team_id, name=wanted.name, scope=wanted.scope,
                 is_local=who.is_local, expires_at=credentials.expiry(wanted.expires_in_days))  # fmt: skip
    secret = tokens.store(made)
    return jsonify(views.token(made, who.name, there.team) | {"token": secret})


@blueprint.delete("/tokens/<uuid:token_id>")
@needs(Action.MANAGE_OWN_TOKENS)
@tells(bool)
def revoke_token(token_id: UUID) -> ResponseReturnValue:
    """The token is good for nothing any more, and its sockets end."""
    credentials.revoke_as(auth.user(), token_id)
    return jsonify(True)


@blueprint.get("/teams")
@needs(Action.SEE_TEAM)
@tells(list[TeamForm], query=PageOfTeams, sends=Paged)
def list_teams() -> ResponseReturnValue:
    """The teams that the token reaches, with what the caller is in each."""
    who = auth.user()
    found = teams.memberships(user_id=who.user_id)
    mine = [it for it in found if it.team == who.team or who.is_the_users_key]
    return listing.of_rows(mine, TEAMS, "name", views.team)


@blueprint.get("/teams/<team>/members")
@needs(Action.SEE_TEAM)
@tells(list[MemberForm], query=PageOfMembers, sends=Paged)
def list_members(team: str) -> ResponseReturnValue:
    """Who is in a team."""
    there = teams.acting_in(auth.user(), team, Action.SEE_TEAM)
    roles, found = listing.wanted_words("role", ROLES), teams.memberships(team_id=there.team_id)
    return listing.of_rows([it for it in found if it.role in (roles or ROLES)], MEMBERS, "user", views.member)


@blueprint.put(MEMBER)
@needs(Action.SEE_TEAM)
@tells(list[MemberForm], body=MemberBody, refuses={409: "The team would have no owner, or it is somebody's own."})
def put_member(team: str, user: str) -> ResponseReturnValue:
    """The user is in the team with that role from now on."""
    there = teams.acting_in(auth.user(), team, Action.MANAGE_TEAM)
    teams.put(there.team_id, users.named(user), Role(body(MemberBody).role))
    return list_members(team)


@blueprint.delete(MEMBER)
@needs(Action.SEE_TEAM)
@tells(bool, refuses={409: "The team would have no owner, or it is somebody's own."})
def remove_member(team: str, user: str) -> ResponseReturnValue:
    """The user is not in the team any more; his tokens for it are revoked."""
    there = teams.acting_in(auth.user(), team, Action.MANAGE_TEAM)
    teams.remove(there.team_id, users.named(user))
    return jsonify(True)


@blueprint.post("/train-jobs/<uuid:run_id>/ticket")
@needs(Action.READ)
@tells(Ticket)
def ticket(run_id: UUID) -> ResponseReturnValue:
    """Opens one WebSocket of this run, once, for a client that cannot send its token there."""
    who = auth.user()
    queries.job_of(who, run_id)
    made: dict[str, Any] = {"ticket": tickets.create(who, run_id), "expires_in": tickets.SECONDS}
    return jsonify(made)
