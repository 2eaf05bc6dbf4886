"""The forms of all answers, for mypy and for the API's document; `views` fill them, and nothing else is done with them.

Clients ignore fields that they do not know: a form may grow, and never shrinks.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601, UTC."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Link = Annotated[str, Field(json_schema_extra={"format": "uri"})]
"""Presigned, straight to S3, for a while."""
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]
Json = dict[str, Any]


def one_of(words: Iterable[str]) -> Any:
    """For text that is one of these words."""
    return Field(json_schema_extra={"enum": [*words]})


class Error(TypedDict):
    """Of every answer that is not 200."""

    detail: str
    """What is wrong and what would be right, in a sentence for people."""
    code: str
    """The same as a word for programs, which stays when the sentence changes."""


class User(TypedDict):
    """Whose something is."""

    id: Id
    name: str


class Health(TypedDict):
    """Of a process."""

    status: Literal["alive", "ready"]
