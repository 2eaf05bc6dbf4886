"""How limits look."""

from typing import Literal

from typing_extensions import TypedDict

from . import Count


class LimitForm(TypedDict):
    """How much of something a user, a team or everybody may have, and has."""

    name: str
    meaning: str
    """What is limited."""
    of: Literal["user", "team", "installation"]
    who: str | None
    """The user's or team's name."""
    value: Count | None
    """Null: no limit."""
    used: Count | None
    """Null where nothing is counted."""
    is_usual: bool
    """Whether it is what everybody has who has no limit of his own."""
