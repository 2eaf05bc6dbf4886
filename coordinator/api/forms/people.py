"""How users, tokens and teams look."""

from typing import Annotated

from typing_extensions import TypedDict

from ...permissions import Role, Scope
from . import Id, Moment, one_of

RoleInTeam = Annotated[str, one_of(role for role in Role if role is not Role.OPERATOR)]


class OwnToken(TypedDict):
    """The token that the request carries."""

    id: Id | None
    name: str
    scope: Scope
    """Each includes those before it: read, write, admin."""
    expires_at: Moment | None


class Me(TypedDict):
    """A user, as the token that he sends presents him."""

    id: Id
    name: str
    is_operator: bool
    team: str
    role: Role
    """In that team."""
    token: OwnToken


class TokenForm(TypedDict):
    """A token without its text, which nobody knows."""

    id: Id
    name: str
    user: str
    team: str | None
    scope: Annotated[str, one_of(Scope)]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None


class NewToken(TokenForm):
    """A token that has just been made."""

    token: str
    """Its text, in this answer and nowhere else."""


class TeamForm(TypedDict):
    """A team, and what one of its users is in it."""

    name: str
    role: RoleInTeam
    is_personal: bool
    """Whether it is the user's own, which nobody else is in."""


class MemberForm(TypedDict):
    """Somebody in a team."""

    user: str
    role: RoleInTeam
    since: Moment
    issuer: str | None
    """Who signs him in, where that is somebody else: then his name was his own choice."""


class UserForm(TypedDict):
    """A user, for operators."""

    id: Id
    name: str
    is_operator: bool
    issuer: str | None
    """Who signs him in, where that is somebody else."""
    subject: str | None
    """His name there."""
    created_at: Moment
    last_seen_at: Moment | None
    disabled_at: Moment | None


class NewUser(UserForm):
    """A user who has just been made."""

    token: str
    """The text of his first key, in this answer and nowhere else."""
