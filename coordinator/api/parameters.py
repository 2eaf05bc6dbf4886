"""Parameters after the question mark, and headers, as the API's document describes them; each route checks its own."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from .forms import Id
from .schemas import Name

SHOWN = r"^[^\x00-\x1f\x7f]+$"
Words = Annotated[str, Field(min_length=1, max_length=200, pattern=SHOWN)]
At = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra={"format": "date-time"})]
Whole = Annotated[int, Field(ge=0, le=999_999_999)]


class OfTeam(TypedDict, total=False):
    """Of whom."""

    team: Name
    """Of everybody in that team, which the caller must be in."""


class OfSubject(TypedDict, total=False):
    """Whose limits; the caller's own and those of his team when nothing is said."""

    user: Name
    """Of that user: of others, operators may see them."""
    team: Name
    """Of that team, which the caller must be in."""


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


class Part(TypedDict, total=False):
    """A part of a list."""

    limit: Annotated[int, Field(ge=1, le=1_000)]
    """So many at most."""
    cursor: Annotated[str, Field(min_length=1, max_length=2_000, pattern=SHOWN)]
    """Goes on where a page ended, as the header Link of that page says."""


class Since(TypedDict, total=False):
    """Of when."""

    since: At
    """From that moment on."""
    until: At
    """What was before that moment."""


class PageOfJobs(Part, OfTeam, Since, total=False):
    """Which jobs."""

    order: Literal["created_at", "-created_at"]
    """By what; with `-` before it the other way round. `-created_at` when not said."""
    state: Words
    """One or several exact states, divided by commas."""
    job_status: Words
    """One or several of the six words that games know, divided by commas."""
    env_id: Name
    """Of that environment; a name without @version means all its versions."""
    behavior_name: Name
    """Of that behaviour."""
    created_by: Name
    """Of the user with that name or id."""


class PageOfMetrics(Part, OfAttempt, total=False):
    """Which summaries."""

    order: Literal["trained", "-trained"]
    """As they were trained, or the other way round."""
    behaviour: Name
    """Of that behaviour."""


class PageOfModels(Part, total=False):
    """Which models."""

    order: Literal["version", "-version"]
    """By what; with `-` before it the other way round."""


class PageOfFiles(Part, OfAttempt, total=False):
    """Which files."""

    order: Literal["created_at", "-created_at", "name", "-name"]
    """By what; with `-` before it the other way round. `created_at` when not said."""
    kind: Name
    """Of that kind."""


class PageOfEpisodes(Part, OfAttempt, total=False):
    """Which of many episodes; 100 when no limit is said."""

    order: Literal["recorded", "-recorded"]
    """As they were recorded, or the other way round."""
    after: Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,10}$")]
    """Those after this one, an `attempt.number`."""


class PageOfEnvironments(Part, total=False):
    """Which environments."""

    order: Literal["env_id", "-env_id"]
    """By name, or the other way round."""
    kind: Name
    """Of that kind."""
    source: Literal["store", "installation"]
    """From where."""


class PageOfNodes(Part, total=False):
    """Which nodes."""

    order: Literal["name", "-name"]
    """By name, or the other way round."""
    label: Name
    """With that label."""


class PageOfTokens(Part, OfTeam, total=False):
    """Which tokens."""

    order: Literal["created_at", "-created_at", "name", "-name"]
    """By what; with `-` before it the other way round. `-created_at` when not said."""


class PageOfTeams(Part, total=False):
    """Which teams."""

    order: Literal["name", "-name"]
    """By name, or the other way round."""


class PageOfMembers(Part, total=False):
    """Which members."""

    order: Literal["user", "-user"]
    """By name, or the other way round."""
    role: Words
    """With one or several roles, divided by commas."""


class PageOfUsers(Part, total=False):
    """Which users."""

    order: Literal["name", "-name", "created_at", "-created_at"]
    """By what; with `-` before it the other way round. `name` when not said."""


class PageOfAudit(Part, OfTeam, Since, total=False):
    """Which entries, and how; 100 when no limit is said."""

    order: Literal["at", "-at"]
    """By time; the newest first when not said."""
    everywhere: Literal["0", "1"]
    """1: of all teams, and what belongs to none; for operators."""
    run_id: Id
    """Of that run."""
    object: Name
    """Of that: a token's id, the name of a user, team or node, env_id@version."""
    action: Words
    """One or several actions, or what stands before their dots, divided by commas."""
    actor: Name
    """By whoever has that name."""
    format: Literal["json", "ndjson", "csv"]
    """A page as a JSON list, which is usual; or everything, an entry a line, or as CSV."""


class Idempotent(TypedDict, total=False):
    """Of a request that may be sent again when its answer was lost."""

    idempotency_key: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,200}$")]
    """Of the caller's choice, printable ASCII. The same request under the same key makes one job."""


class Conditional(TypedDict, total=False):
    """Of a request for what may not have changed."""

    if_none_match: str
    """The ETag of what the caller has: when it is still so, the answer is 304 without a body."""
    if_match: str
    """The ETag of what the caller wants: when it is something else, the answer is 412."""


class Resumable(Conditional, total=False):
    """Of a request for a file, of which the caller may have the beginning."""

    range: str
    """One part of the file, as in `bytes=1000-`: the answer is 206 with that. To anything else it is the whole file."""
    if_range: str
    """The ETag of what the caller has the beginning of: the whole file comes where it is another one now."""


class Tagged(TypedDict):
    """Headers of what changes seldom."""

    etag: str
    """To be sent as If-None-Match next time."""


class Paged(TypedDict):
    """Headers of a list."""

    link: NotRequired[str]
    """The address of the next page, as `rel="next"`, where there is one."""


class TaggedPage(Paged, Tagged):
    """Both."""


class Attachment(TypedDict):
    """Headers of a file."""

    content_disposition: str
    """The name under which it is to be kept."""


class StoredFile(Attachment, Tagged):
    """Headers of a file that never changes: the tag is its SHA-256."""

    accept_ranges: str
    """Always `bytes`: a part can be asked for with Range."""


class PartOfFile(StoredFile):
    """Headers of a part of it."""

    content_range: str
    """Which bytes of how many, as in `bytes 1000-1999/2000`."""
