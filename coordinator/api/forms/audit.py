"""How the audit looks."""

from typing import Annotated

from typing_extensions import TypedDict

from ...audit import Audited
from . import Id, Json, Moment, Number, one_of


class Actor(TypedDict):
    """Who has made a change."""

    type: Annotated[str, one_of(("user", "node", "command line", "coordinator"))]
    name: str
    """Of the user or node; of the operating system's user; of the coordinator's program."""
    id: Id | None
    token: str
    """Name of the token that was sent."""
    token_id: Id | None


class Entry(TypedDict):
    """A change of a state, a permission or a stored object."""

    id: Number
    at: Moment
    action: Annotated[str, one_of(Audited)]
    object: str
    """A run_id, a token's id, the name of a user, team or node, env_id@version."""
    team: str | None
    """Whose it is; null: the installation's, or that of a team which is gone."""
    actor: Actor
    origin: str
    """From where: an address, a machine, or a program."""
    reason: str | None
    """Why, in a sentence, where there is one."""
    details: Json
