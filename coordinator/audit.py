"""Who did what, when, from where and why: each change notes it in its own transaction, so that an entry can neither be
lost nor tell of what did not happen. `audit_trail` reads what is written here."""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import click
from flask import current_app, g, has_app_context

from .extensions import db
from .models import AuditEntry

PROGRAM = "PROGRAM"
"""Of an app's config: which of the coordinator's programs it runs in."""
LONGEST_REASON = 2_000


class Audited(StrEnum):
    """Every change that is noted, as "kind of object.what happened". docs/protocol.md has the same list."""

    JOB_SUBMITTED = "job.submitted"
    JOB_CLAIMED = "job.claimed"
    JOB_STARTED = "job.started"
    JOB_CONNECTED = "job.connected"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_REQUEUED = "job.requeued"
    JOB_RESUMED = "job.resumed"
    JOB_RECOVERED = "job.recovered"
    JOB_CANCEL_REQUESTED = "job.cancel_requested"
    JOB_DELETED = "job.deleted"
    JOB_PURGED = "job.purged"
    ATTEMPT_ENDED = "attempt.ended"
    ATTEMPT_REOPENED = "attempt.reopened"
    FILE_STORED = "file.stored"
    FILE_DROPPED = "file.dropped"
    BUILD_ANNOUNCED = "build.announced"
    BUILD_COMPLETED = "build.completed"
    BUILD_READY = "build.ready"
    BUILD_REJECTED = "build.rejected"
    BUILD_RETIRED = "build.retired"
    BUILD_REMOVED = "build.removed"
    BUILD_CHECKED = "build.checked"
    USER_MADE = "user.made"
    USER_CHANGED = "user.changed"
    TEAM_MADE = "team.made"
    MEMBER_PUT = "member.put"
    MEMBER_REMOVED = "member.removed"
    LIMIT_SET = "limit.set"
    TOKEN_MADE = "token.made"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    NODE_ENROLLED = "node.enrolled"
    NODE_STARTED = "node.started"
    NODE_REVOKED = "node.revoked"
    NODE_DRAINED = "node.drained"
    NODE_QUARANTINED = "node.quarantined"
    NODE_CHECKED = "node.checked"
    NODE_RELEASED = "node.released"
    AUDIT_DROPPED = "audit.dropped"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from where; the fields are those of an AuditEntry."""

    actor_type: str
    actor: str
    origin: str
    actor_id: UUID | None = None
    token: str = ""
    token_id: UUID | None = None

    def columns(self) -> dict[str, Any]:
        return asdict(self)


def note(
    what: Audited, of: object, team_id: UUID | None = None, *, reason: str | None = None, **details: Any
) -> None:  # fmt: skip
    """Notes a change, to be committed with it. `details` are JSON, and never secrets."""
    short = reason[:LONGEST_REASON] if reason else None
    entry = AuditEntry(action=what, object=str(of), team_id=team_id, reason=short, details=details)
    for name, value in acting().columns().items():
        setattr(entry, name, value)
    db.session.add(entry)


def acting() -> Actor:
    """Who acts at the moment: whom the request or task has named, else whoever runs the command, else the program."""
    if (named := g.get("actor")) is not None:
        return named  # type: ignore[no-any-return]
    if PROGRAM not in current_app.config and click.get_current_context(silent=True):
        return _at_the_command_line()
    return program(current_app.config.get(PROGRAM, "web"))


def act_as(actor: Actor | None) -> None:
    """Whoever it is acts until the request, task or command is over; None: nobody is named any more."""
    if has_app_context():
        g.actor = actor


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """The same for a while."""
    before = g.get("actor")
    g.actor = actor
    try:
        yield
    finally:
        g.actor = before


def program(name: str) -> Actor:
    """The coordinator itself, by one of its programs."""
    return Actor("coordinator", name, name)


def node(node_id: UUID, name: str) -> Actor:
    """A training node that says something by the broker."""
    return Actor("node", name, f"node {name}", node_id)


def _at_the_command_line() -> Actor:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number
        user = str(os.getuid())
    return Actor("command line", user, f"command line on {socket.gethostname()}")
