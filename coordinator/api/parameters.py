"""Parameters after the question mark, and headers, as the API's document describes them; each route checks its own."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from .schemas import Name

Whole = Annotated[int, Field(ge=0, le=999_999_999)]


class OfTeam(TypedDict, total=False):
    """Of whom."""

    team: Name
    """Of everybody in that team, which the caller must be in."""


class OfAttempt(TypedDict, total=False):
    """Of when."""

    attempt: Whole
    """Only of that attempt."""


class OfVersion(TypedDict, total=False):
    """Which model."""

    version: Whole
    """The model of that number; the newest when not said."""


class OfLog(OfAttempt, total=False):
    """Which log."""

    source: Literal["trainer", "environment"]
    """Of one of the two only."""


class PageOfEpisodes(OfAttempt, total=False):
    """Which of many episodes."""

    limit: Whole
    """So many at most; 100 when not said, never more than 1000."""
    after: Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,10}$")]
    """Those after this one, as `attempt.number` of the last one of the page before."""


class Idempotent(TypedDict, total=False):
    """Of a request that may be sent again when its answer was lost."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,200}$")]
    """Of the caller's choice, printable ASCII. The same request under the same key makes one job."""


class Conditional(TypedDict, total=False):
    """Of a request for what may not have changed."""

    if_none_match: str
    """The ETag of what the caller has: when it is still so, the answer is 304 without a body."""


class Tagged(TypedDict):
    """Headers of what changes seldom."""

    etag: str
    """To be sent as If-None-Match next time."""


class Attachment(TypedDict):
    """Headers of a file."""

    content_disposition: str
    """The name under which it is to be kept."""
