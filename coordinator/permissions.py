"""Who may do what, as one table. Pure; what stands in no row is denied.

A token speaks for its user in one team, as far as both the token's scope and the user's role there allow. An operator
runs the installation: what his row says, he may do in every team.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .errors import NotAllowed


class Role(StrEnum):
    """What a user is in a team; an operator is one in all of them."""

    VIEWER = "viewer"
    MEMBER = "member"
    OWNER = "owner"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a token is for; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be done, as a sentence of refusal says it."""

    READ = "see jobs, models and environments"
    SUBMIT = "submit jobs and upload builds"
    CHANGE_OWN = "change its own jobs and builds"
    CHANGE_OTHERS = "change jobs and builds of others"
    SEE_ITSELF = "see who it is"
    SEE_NODES = "see the training nodes"
    SEE_TEAM = "see who is in the team"
    READ_AUDIT = "see who changed what"
    READ_ALL_AUDIT = "see who changed what in all teams"
    MANAGE_OWN_TOKENS = "make and revoke tokens"
    MANAGE_TEAM = "manage the team's members and tokens"
    MANAGE_INSTALLATION = "manage the installation's users, teams and nodes"


VIEWER, MEMBER, OWNER, OPERATOR = Role
READ, WRITE, ADMIN = Scope
# fmt: off
TABLE: dict[Action, tuple[Scope, set[Role]]] = {
    Action.READ:              (READ,  {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.SUBMIT:            (WRITE, {        MEMBER, OWNER          }),
    Action.CHANGE_OWN:        (WRITE, {        MEMBER, OWNER, OPERATOR}),
    Action.CHANGE_OTHERS:     (WRITE, {                OWNER, OPERATOR}),
    Action.SEE_ITSELF:        (READ,  {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.SEE_NODES:         (READ,  {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.SEE_TEAM:          (READ,  {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.READ_AUDIT:        (READ,  {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.READ_ALL_AUDIT:    (READ,  {                       OPERATOR}),
    Action.MANAGE_OWN_TOKENS: (ADMIN, {VIEWER, MEMBER, OWNER, OPERATOR}),
    Action.MANAGE_TEAM:       (ADMIN, {                OWNER, OPERATOR}),
    Action.MANAGE_INSTALLATION: (ADMIN, {                     OPERATOR}),
}
# fmt: on
"""Action: the least scope of the token, and the roles that may. CHANGE_OWN is of what one has made oneself."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A user as a token presents him: in one team, with one role, for one purpose."""

    user_id: UUID
    name: str
    team_id: UUID
    team: str
    role: Role
    scope: Scope = WRITE
    is_operator: bool = False
    """Whether this token speaks for him as one: those for his own team do."""
    is_personal: bool = True
    """Whether the team is the user's own, which nobody else is in."""
    is_local: bool = False
    """Whether the token is good on the coordinator's own machine only."""
    token_id: UUID | None = None
    token: str = ""
    """The token's name."""
    expires_at: datetime | None = None

    @property
    def is_the_users_key(self) -> bool:
        """Whether the token reaches beyond its team: to what its user is in the others."""
        return self.is_personal and self.scope is ADMIN


def may(who: Caller, action: Action, team_id: UUID | None = None) -> bool:
    """Whether the caller may do that in a team; None: in his own."""
    scope, roles = TABLE[action]
    return list(Scope).index(who.scope) >= list(Scope).index(scope) and not roles.isdisjoint(_roles(who, team_id))


def require(who: Caller, action: Action, team_id: UUID | None = None) -> None:
    """Raises NotAllowed."""
    if may(who, action, team_id):
        return
    scope, roles = TABLE[action]
    if roles.isdisjoint(_roles(who, team_id)):
        raise NotAllowed(f"Your role in team {who.team!r} is {who.role}, which may not {action}.")
    raise NotAllowed(f"This token's scope is '{who.scope}'. To {action}, '{scope}' is needed.")


def require_change(who: Caller, owner_id: UUID, team_id: UUID) -> None:
    """Of something that the caller can see: raises NotAllowed where he may not change it."""
    require(who, Action.CHANGE_OWN if owner_id == who.user_id else Action.CHANGE_OTHERS, team_id)


def _roles(who: Caller, team_id: UUID | None) -> set[Role]:
    here = {who.role} if team_id in (None, who.team_id) else set[Role]()
    return here | {OPERATOR} if who.is_operator else here
