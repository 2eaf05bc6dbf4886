"""Commands on training nodes: they say hello, are told to end, and are kept from work that they would spoil."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from wire.jobs import Has

from . import audit
from .audit import Audited
from .errors import Conflict, NotFound
from .extensions import db
from .models import Attempt, Node

FAULTS, WITHIN = 3, timedelta(minutes=10)
"""After so many different jobs that failed by a node's own fault within so long, it has to check itself."""
AWAY_AFTER = timedelta(seconds=15)
"""A node says hello every five seconds; one that was not heard for so long counts as away."""
LONGEST_CAUSE, LONGEST_FINDINGS = 200, 600
QUARANTINED = "It has to pass its self-check first."
"""What everybody is told. Why, only operators: the causes tell of jobs of any team."""


def seen(node_id: UUID, slots: int, has: Has, life: UUID | None, drain: str | None) -> Node:
    """The node is there, with so many slots, and with all this. `drain` is how it ends, where it has been told on its
    own machine; what it was told from here ends with the life that it was meant for."""
    node = db.session.get_one(Node, node_id, with_for_update=True, populate_existing=True)
    wish = node.drain if node.life == life else None
    drain = max((it for it in (drain, wish) if it), default=None)  # the greatest wish is the one to hand over
    if node.life != life:
        audit.note(Audited.NODE_STARTED, node.name, life=str(life) if life else None)
    elif node.drain != drain:
        audit.note(Audited.NODE_DRAINED, node.name, how=drain)
    node.last_seen_at, node.slots, node.has, node.life, node.drain = func.now(), slots, has.to_wire(), life, drain
    db.session.commit()
    return node


def refuses(node: Node) -> str | None:
    """Why it is given no work, in a sentence; None: it is given work."""
    if node.revoked_at:
        return "It was revoked."
    if node.quarantine:
        return QUARANTINED
    return "It is being shut down." if node.drain else None


def blame(node_id: UUID) -> None:
    """One more attempt has failed by the fault of this node, which may be one too many. In the caller's transaction."""
    node = db.session.get_one(Node, node_id, with_for_update=True, populate_existing=True)
    faults = select(Attempt.run_id, Attempt.cause).where(
        Attempt.node_id == node_id, Attempt.is_fault, Attempt.ended_at > func.now() - WITHIN
    )
    if node.checked_at:
        faults = faults.where(Attempt.ended_at > node.checked_at)
    newest = {run_id: cause or "" for run_id, cause in db.session.execute(faults.order_by(Attempt.ended_at))}
    if len(newest) >= FAULTS and node.quarantine is None:
        causes = " ".join(cause[:LONGEST_CAUSE] for cause in list(newest.values())[-FAULTS:])
        node.quarantine = f"{FAULTS} jobs failed there within {WITHIN.seconds // 60} minutes by its own fault: {causes}"
        audit.note(Audited.NODE_QUARANTINED, node.name, reason=node.quarantine)


def name_of(node_id: UUID) -> str:
    """Its name, for sentences."""
    return db.session.get_one(Node, node_id).name


def is_at_work(node_id: UUID) -> bool:
    """Whether it was heard of a moment ago and has not been told to stop."""
    its = (Node.id == node_id, Node.drain.is_(None), Node.last_seen_at > func.now() - AWAY_AFTER)
    return db.session.scalar(select(Node.id).where(*its)) is not None


def self_checked(node_id: UUID, passed: bool, findings: list[str]) -> None:
    """What a node in quarantine has found wrong with itself. Where that is nothing, it gets work again."""
    found = f"It did not pass: {' '.join(findings) or 'it does not say why.'}"[:LONGEST_FINDINGS]
    values: dict[str, Any] = {"quarantine": None, "checked_at": func.now()} if passed else {"quarantine": found}
    its = update(Node).where(Node.id == node_id, Node.quarantine.is_not(None)).returning(Node.name)
    if name := db.session.scalar(its.values(values)):
        audit.note(Audited.NODE_CHECKED, name, reason=None if passed else found, passed=passed)
    db.session.commit()


def release(name: str) -> None:
    """Gives a node work again, whatever its self-check says. Raises NotFound."""
    _named(name)
    db.session.execute(update(Node).where(Node.name == name).values(quarantine=None, checked_at=func.now()))
    audit.note(Audited.NODE_RELEASED, name)
    db.session.commit()


def drain(name: str, how: str) -> None:
    """The node takes nothing new from now on, ends what it has (wire.jobs.DRAINS), and then itself.

    Raises NotFound, and Conflict for one that would not understand.
    """
    if _named(name).life is None:
        raise Conflict(f"The program of node {name} has never run, or is too old to be told. Stop it by SIGTERM.")
    db.session.execute(update(Node).where(Node.name == name).values(drain=how))
    audit.note(Audited.NODE_DRAINED, name, how=how)
    db.session.commit()


def _named(name: str) -> Node:
    if node := db.session.scalars(select(Node).where(Node.name == name)).first():
        return node
    raise NotFound(f"There is no node {name!r}.")
