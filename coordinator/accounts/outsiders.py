"""Users whom an outside issuer signs in: each is made when he first comes, with a team of his own as every user.

Who somebody is say issuer and subject. His name is his own choice, so it never leads to anybody who is here already.
"""

import hashlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from .. import audit
from ..audit import Actor, Audited
from ..errors import Conflict, NotAuthenticated
from ..extensions import db
from ..models import Member, Team, User
from ..permissions import Caller, Role, Scope
from . import tokens
from .issuers.identity import EXPIRED, Identity


def caller_of(identity: Identity, scope: Scope, address: str) -> Caller:
    """The user, as he was known at most two seconds ago; never as an operator. `address` is where he comes from.

    Raises NotAuthenticated.
    """
    found = tokens.remembered(identity, lambda: _look_up(identity, scope, address))
    assert isinstance(found, Caller)  # noqa: S101 - no node has an issuer
    return found


_OF_IDENTITY = (
    select(
        User.id, User.name, User.issuer, User.subject, User.disabled_at, Team.id.label("team_id"),
        Team.name.label("team"),
        func.coalesce(User.last_seen_at < func.now() - tokens.USE_NOTED, True).label("use_is_news"),
    )
    .join(Team, Team.personal_of == User.id)
)  # fmt: skip


def _look_up(identity: Identity, scope: Scope, address: str) -> tuple[Caller, float]:
    seconds = min(tokens.KNOWN_SECONDS, identity.seconds_left)
    if seconds <= 0:
        raise NotAuthenticated(EXPIRED)
    row = _found(identity) or _made(identity, address)
    if row.disabled_at is not None:
        raise NotAuthenticated(tokens.DISABLED)
    who = Caller(row.id, row.name, row.team_id, row.team, Role.OWNER, scope, token=identity.issuer,
                 expires_at=identity.expires_at)  # fmt: skip
    return who, seconds


def _found(identity: Identity) -> Row[*tuple[Any, ...]] | None:
    his = (User.issuer == identity.issuer, User.subject == identity.subject)
    with db.engine.begin() as connection:  # given back at once: what follows may want a connection of its own
        row = connection.execute(_OF_IDENTITY.where(*his)).first()
        if row and row.use_is_news:
            connection.execute(update(User).where(User.id == row.id).values(last_seen_at=func.now()))
    return row


def _made(identity: Identity, address: str) -> Row[*tuple[Any, ...]]:
    """Another request of the same user may be making him at the same time."""
    for name in names(identity):
        user_id = uuid4()
        with audit.acting_as(Actor("user", name, address, user_id, identity.issuer)):
            _make(identity, name, user_id)
        if row := _found(identity):
            return row
    raise Conflict(f"No name is free for the user {identity.subject!r} of {identity.issuer!r}.")


def _make(identity: Identity, name: str, user_id: UUID) -> None:
    """Makes nothing where the name is taken, by a user or a team, or the user is there already."""
    user = insert(User).values(id=user_id, name=name, issuer=identity.issuer, subject=identity.subject)
    team = insert(Team).values(name=name, personal_of=user_id).on_conflict_do_nothing().returning(Team.id)
    is_new = db.session.execute(user.on_conflict_do_nothing().returning(User.id)).scalar()
    if is_new and (team_id := db.session.execute(team).scalar()):
        db.session.execute(insert(Member).values(team_id=team_id, user_id=user_id, role=Role.OWNER))
        audit.note(Audited.USER_MADE, name, issuer=identity.issuer, subject=identity.subject)
        db.session.commit()
    else:
        db.session.rollback()


def names(identity: Identity) -> Iterator[str]:
    """His name, or where somebody has that, with a few more characters that are always the same for him."""
    yield identity.name
    marks = hashlib.sha256(f"{identity.issuer}\0{identity.subject}".encode()).hexdigest()
    for length in (6, 12, 40):
        yield f"{identity.name}-{marks[:length]}"
