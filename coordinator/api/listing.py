"""Lists as clients ask for them: `limit`, `cursor`, `order` and filters; where more follows, a header Link says how."""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from flask import Response, jsonify, request

from .. import pages
from ..errors import BadRequest
from ..pages import Asked, Page, Row, order_of

MOST = 1_000
"""Rows of a page: ten thousand jobs would keep a process busy for seconds, in which it hears no heartbeat."""
MOST_SMALL = 10_000
"""The same where no limit is said and rows are small, for a curve or a folder is of use only as a whole."""
LONGEST = 200
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def asked(orders: Collection[str], usual: str, unasked: int = MOST) -> Asked:
    """What of a list is wanted; in `usual` order, and `unasked` rows, where that is not said. Raises BadRequest."""
    limit, cursor = wanted_number("limit"), wanted_text("cursor", 2_000)
    if limit is not None and not 1 <= limit <= MOST:
        raise BadRequest(f"limit: It must be 1 to {MOST}, not {limit}.")
    order = wanted_text("order") or (order_of(cursor) if cursor else usual)
    if order.removeprefix("-") not in orders:
        known = ", ".join(f"{name}, -{name}" for name in orders)
        raise BadRequest(f"order: It must be one of {known}, not {order!r}.")
    return Asked(order, limit or unasked, cursor)


def answer(page: Page[Any], shown: list[Any]) -> Response:
    """The list itself, as ever; where its next page is, says a header."""
    its = jsonify(shown)
    if page.cursor:
        its.headers["Link"] = f'<{_address(page.cursor)}>; rel="next"'
    return its


def of_rows(rows: Iterable[Row], keys: pages.Keys[Row], usual: str, shown: Callable[[Row], Any]) -> Response:
    """A list whose rows are few enough to be all in memory."""
    page = pages.of_rows(rows, keys, asked(keys, usual, MOST_SMALL))
    return answer(page, [shown(row) for row in page.rows])


def wanted_number(name: str) -> int | None:
    """A whole number of the query string. Raises BadRequest."""
    text = request.args.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < len(text) <= 9:
        raise BadRequest(f"{name}: It must be a whole number, not {text[:80]!r}.")
    return int(text)


def wanted_text(name: str, longest: int = LONGEST) -> str | None:
    """Text of the query string, as it may stand in a name. Raises BadRequest."""
    text = request.args.get(name)
    if text is not None and (not 0 < len(text) <= longest or UNPRINTABLE.search(text)):
        raise BadRequest(f"{name}: It must be 1 to {longest} characters, without control characters.")
    return text


def wanted_words(name: str, known: Collection[str]) -> set[str] | None:
    """One or several words, divided by commas. Raises BadRequest for one that is not known."""
    text = wanted_text(name)
    words = {word.strip() for word in text.split(",")} if text else None
    for word in sorted(words or ()):
        if word not in known:
            raise BadRequest(f"{name}: It must be one or several of {', '.join(known)}, not {word!r}.")
    return words


def wanted_moment(name: str) -> datetime | None:
    """A moment as ISO 8601 writes it, of UTC where it says nothing else. Raises BadRequest."""
    text = wanted_text(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name}: It must be a moment such as 2030-01-31T12:00:00Z, not {text!r}.") from None


def wanted_id(name: str) -> UUID | None:
    """A UUID of the query string. Raises BadRequest."""
    text = wanted_text(name)
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(f"{name}: It must be a UUID, not {text!r}.") from None


def is_wanted(name: str) -> bool:
    """A switch of the query string: 1 or 0. Raises BadRequest."""
    text = wanted_text(name)
    if text not in (None, "0", "1"):
        raise BadRequest(f"{name}: It must be 1 or 0, not {text!r}.")
    return text == "1"


def _address(cursor: str) -> str:
    """Of the next page, without the host: what stands before the API knows that better."""
    said = [(name, value) for name, value in request.args.items(multi=True) if name not in ("cursor", "order")]
    return f"{quote(request.script_root + request.path)}?{urlencode([*said, ('cursor', cursor)])}"
