"""The forms in which the audit is handed out: JSON, a line of JSON each, or CSV for spreadsheets."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wire.codec import encode

from ..models import AuditEntry
from .forms.audit import Actor, Entry

BYTES_AT_ONCE = 16_384
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute begins so; anybody may have chosen such a name."""


def entry(row: AuditEntry, team: str | None, with_addresses: bool = True) -> Entry:
    """One change. Where a node is in the network is nobody's affair but the operator's: else only its name is told."""
    origin = row.origin if with_addresses or row.actor_type != "node" else f"node {row.actor}"
    actor: Actor = {"type": row.actor_type, "name": row.actor, "id": str(row.actor_id) if row.actor_id else None,
             "token": row.token, "token_id": str(row.token_id) if row.token_id else None}  # fmt: skip
    return {"id": row.id, "at": row.at.isoformat(), "action": row.action, "object": row.object, "team": team,
            "actor": actor, "origin": origin, "reason": row.reason, "details": row.details}  # fmt: skip


def ndjson(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines."""
    return (encode(its) + "\n" for its in entries)


COLUMNS = ("id", "at", "action", "object", "team", "actor_type", "actor", "actor_id", "token", "token_id", "origin",
           "reason", "details")  # fmt: skip


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines of CSV, the first with the columns' names."""
    yield _line(COLUMNS)
    for its in entries:
        who = its["actor"]
        yield _line((its["id"], its["at"], its["action"], its["object"], its["team"], who["type"], who["name"],
                     who["id"], who["token"], who["token_id"], its["origin"], its["reason"],
                     encode(its["details"])))  # fmt: skip


FORMS: dict[str, tuple[str, Callable[[Iterable[Entry]], Iterator[str]]]] = {
    "ndjson": ("application/x-ndjson", ndjson),
    "csv": ("text/csv", table),
}


def gathered(lines: Iterator[str]) -> Iterator[bytes]:
    """The same in pieces that are worth a packet."""
    waiting = io.BytesIO()
    for line in lines:
        waiting.write(line.encode("utf-8", "replace"))
        if waiting.tell() >= BYTES_AT_ONCE:
            yield waiting.getvalue()
            waiting = io.BytesIO()
    yield waiting.getvalue()


def _line(cells: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
