"""What a route takes and what it answers, said beside it: the API's document is made of this. Nothing runs by it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])
DESCRIPTION = "_description"


@dataclass(frozen=True, slots=True)
class Bytes:
    """An answer that is no JSON."""

    media: str
    about: str
    headers: Any = None
    """That come with it, as a TypedDict."""


@dataclass(frozen=True, slots=True)
class Description:
    """Beside what the route's address, its `needs` and its docstring say."""

    answer: Any
    """The type of the JSON that it answers with 200, or Bytes."""
    body: Any = None
    """The schema of the body that it takes."""
    query: Any = None
    """Its parameters after the question mark, as a TypedDict or a pydantic model; a field's name is the parameter's."""
    headers: Any = None
    """The headers it looks at, alike: `idempotency_key` is Idempotency-Key."""
    alternatives: tuple[Bytes, ...] = ()
    """What it answers instead where a parameter asks for that."""
    sends: Any = None
    """The headers of its answer, alike."""
    refuses: dict[int, str] = field(default_factory=dict)
    """Further statuses with which it may answer, and when; without words: as in `openapi_words`."""


def tells(answer: Any, **about: Any) -> Callable[[View], View]:
    """Describes a route for the API's document; stands below `needs`. `about` as in Description."""

    def mark(view: View) -> View:
        setattr(view, DESCRIPTION, Description(answer, **about))
        return view

    return mark


def description_of(view: Callable[..., Any]) -> Description | None:
    """What a route has said, if anything."""
    found = getattr(view, DESCRIPTION, None)
    return found if isinstance(found, Description) else None
