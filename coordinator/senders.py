"""Whose messages are taken for whose: RabbitMQ vouches for the user who sent one, and that must be the user of the node
that holds the attempt. Needs the app's context.
"""

import time
from uuid import UUID

from sqlalchemy import select

from .extensions import db
from .models import Attempt, Node

BELIEVED_SECONDS = 5.0
"""What may change, as a node's first enrolment changes it, is not looked up again for so long."""
MOST_KNOWN = 20_000
NO_ATTEMPT = "There is no attempt {} of run {}."
FORGED = "It is about attempt {} of run {}, but was sent by {}, who is not the user of that attempt's node."
NOT_OURS = "It was sent by {}: only the coordinator itself sends this."
Key = tuple[UUID, int, str | None]


class Senders:
    """What one process knows of them. An attempt stays its node's, and a node its user's: that is never asked twice."""

    def __init__(self, own: str = "") -> None:
        """`own` is the coordinator's user, who is trusted with everything."""
        self._own = own
        self._known: dict[Key, tuple[float, str | None]] = {}

    def is_known(self, run_id: UUID, attempt: int, sender: str | None) -> bool | None:
        """Whether this is the sender's to say; None where the database has to be asked. Needs no context."""
        if sender and sender == self._own:
            return True
        until, why = self._known.get((run_id, attempt, sender), (0.0, None))
        return why is None if time.monotonic() < until else None

    def why_not(self, run_id: UUID, attempt: int, sender: str | None) -> str | None:
        """Why nothing that this sender says of that attempt is taken, in a sentence; None: it is."""
        if sender and sender == self._own:
            return None
        if not 0 < attempt < 2**31:
            return NO_ATTEMPT.format(attempt, run_id)
        until, why = self._known.get((run_id, attempt, sender), (0.0, None))
        if time.monotonic() >= until:
            why, seconds = self._look_up(run_id, attempt, sender)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[run_id, attempt, sender] = (time.monotonic() + seconds, why)
        return why

    def why_not_ours(self, sender: str | None) -> str | None:
        """The same of what only the coordinator sends to itself."""
        is_ours = sender is not None and (sender == self._own or not _is_a_nodes(sender))
        return None if is_ours else NOT_OURS.format(_named(sender))

    def _look_up(self, run_id: UUID, attempt: int, sender: str | None) -> tuple[str | None, float]:
        held = select(Node.broker_user).join(Attempt).where(Attempt.run_id == run_id, Attempt.number == attempt)
        row = db.session.execute(held).first()
        if row is None:
            return NO_ATTEMPT.format(attempt, run_id), 0.0
        user = row.broker_user
        if user and sender == user:
            return None, float("inf")
        # a node of the time before nodes had users of their own
        is_taken = user is None and (sender is None or not _is_a_nodes(sender))
        return None if is_taken else FORGED.format(attempt, run_id, _named(sender)), BELIEVED_SECONDS


def _is_a_nodes(user: str) -> bool:
    return db.session.scalar(select(Node.id).where(Node.broker_user == user)) is not None


def _named(sender: str | None) -> str:
    return f"RabbitMQ's user {sender!r}" if sender else "nobody that RabbitMQ vouches for"
