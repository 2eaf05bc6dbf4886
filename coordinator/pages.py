"""Lists in pages: each row has one place in its list's order, and a cursor names the place at which a page ended.

A page goes on after a place and not after a number of rows, so what is added or goes meanwhile moves nothing.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from wire.codec import NotAMessage, decode, encode

from .errors import BadRequest
from .extensions import db

Row = TypeVar("Row")
Place = tuple[Any, ...]
Columns = Mapping[str, Sequence[InstrumentedAttribute[Any]]]
"""Of each order: columns that together are different in all rows, none of them ever NULL."""
Keys = Mapping[str, Callable[[Row], Place]]
"""The same of rows that are in memory: text and whole numbers."""
BAD_CURSOR = "cursor: It is none of this list's. Take it from the header Link of the page before."
MOST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a list: after which place, in which order ("-name": the other way round), how many rows at most."""

    order: str
    limit: int
    cursor: str | None = None

    @property
    def name(self) -> str:
        return self.order.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.order.startswith("-")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the cursor of those that come next; None: there are no more."""

    rows: list[Row]
    cursor: str | None = None


def of_query(
    wanted: Select[*tuple[Any, ...]], columns: Columns, asked: Asked, entity: Callable[[Any], Any] = itemgetter(0)
) -> Page[Any]:
    """The rows of a SELECT, of each of which `entity` is what has the columns as attributes."""
    keys = columns[asked.name]
    if asked.cursor is not None:
        after = tuple_(*map(_typed, _place(asked, len(keys)), keys))
        here = tuple_(*keys)
        wanted = wanted.where(here < after if asked.is_descending else here > after)
    order = [key.desc() if asked.is_descending else key for key in keys]
    rows = list(db.session.execute(wanted.order_by(*order).limit(asked.limit + 1)))
    return _page(rows, lambda row: tuple(getattr(entity(row), str(key.key)) for key in keys), asked)


def of_rows(rows: Iterable[Row], keys: Keys[Row], asked: Asked) -> Page[Row]:
    """The same of rows that are few enough to be all in memory."""
    key = keys[asked.name]
    found = sorted(rows, key=key, reverse=asked.is_descending)
    if asked.cursor is not None:
        after = _place(asked, None)
        try:
            found = [row for row in found if (key(row) < after if asked.is_descending else key(row) > after)]
        except TypeError:
            raise BadRequest(BAD_CURSOR) from None
    return _page(found[: asked.limit + 1], key, asked)


def moment(at: datetime) -> int:
    """For a key: microseconds."""
    return round(at.timestamp() * 1_000_000)


def order_of(cursor: str) -> str:
    """In which order the list was when it had this cursor. Raises BadRequest."""
    return str(_opened(cursor)[0])


def _page(rows: list[Row], key: Callable[[Row], Place], asked: Asked) -> Page[Row]:
    if len(rows) <= asked.limit:
        return Page(rows)
    rows = rows[: asked.limit]
    text = encode({"place": [asked.order, *map(_said, key(rows[-1]))]})
    return Page(rows, base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


def _opened(cursor: str) -> list[Any]:
    try:
        place = decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))["place"]
    except (binascii.Error, ValueError, NotAMessage, KeyError):
        raise BadRequest(BAD_CURSOR) from None
    if not isinstance(place, list) or not place:
        raise BadRequest(BAD_CURSOR)
    return place


def _place(asked: Asked, length: int | None) -> Place:
    order, *values = _opened(asked.cursor or "")
    if order != asked.order or (length is not None and len(values) != length):
        raise BadRequest(BAD_CURSOR)
    return tuple(values)


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int | str) else str(value)


def _typed(value: Any, column: InstrumentedAttribute[Any]) -> Any:
    """A cursor's value as its column has it. Raises BadRequest: anybody may make up a cursor."""
    kind = column.type.python_type
    try:
        if kind is int and type(value) is int and abs(value) <= MOST_INTEGER:
            return value
        if kind is datetime:
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if kind is UUID:
            return UUID(value)
        if kind is str and "\0" not in value and value.encode():
            return value
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise BadRequest(BAD_CURSOR) from None
    raise BadRequest(BAD_CURSOR)
