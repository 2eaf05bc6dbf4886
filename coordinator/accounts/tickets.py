"""One-time tickets: a browser's game, which can set no headers, opens the WebSocket of one run with one."""

import secrets
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select

from ..errors import NotAuthenticated
from ..extensions import db
from ..models import Ticket, Token, User
from ..permissions import Caller
from .issuers.identity import Identity
from .tokens import digest_of

SECONDS = 30
WRONG = "This ticket is not known here, was used before, has expired, or is for another run. Fetch a new one."


def create(who: Caller, run_id: UUID) -> str:
    """A ticket that stands for the caller's token, for that run. Those that have expired are swept out on the way."""
    secret = f"tt_{secrets.token_urlsafe(32)}"
    db.session.execute(delete(Ticket).where(Ticket.expires_at < func.now()))
    ends = func.now() + timedelta(seconds=SECONDS)
    outside = {} if who.token_id else {"user_id": who.user_id, "ends_at": who.expires_at}
    its = Ticket(digest=digest_of(secret), token_id=who.token_id, run_id=run_id, expires_at=ends, **outside)
    db.session.add(its)
    db.session.commit()
    return secret


def redeem(ticket: str, run_id: UUID) -> bytes | Identity:
    """What was shown for it: the digest of a token of ours, or whom an issuer's token speaks for. It is used up by
    this, also for a wrong run.

    Raises NotAuthenticated.
    """
    taken = delete(Ticket).where(Ticket.digest == digest_of(ticket))
    found = db.session.execute(
        taken.returning(
            Ticket.run_id,
            Ticket.token_id,
            Ticket.user_id,
            Ticket.ends_at,
            (Ticket.expires_at > func.now()).label("is_good"),
        )
    ).first()
    db.session.commit()
    if found is None or not found.is_good or found.run_id != run_id:
        raise NotAuthenticated(WRONG)
    if found.user_id:
        user = db.session.get_one(User, found.user_id)
        return Identity(user.issuer or "", user.subject or "", user.name, found.ends_at)
    return db.session.scalars(select(Token.digest).where(Token.id == found.token_id)).one()
