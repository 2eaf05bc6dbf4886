"""Enrolling and revoking nodes: a node's token and its user at the broker come and go together."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from wire import enrolment

from . import audit, broker_users
from .accounts import tokens
from .audit import Audited
from .broker_users import BrokerUsers
from .config import Config
from .errors import BadRequest, NotFound
from .extensions import db
from .ledger import Told
from .models import Attempt, Node, Token
from .pipeline import record
from .pipeline.reports import AttemptLost

REVOKED = "Its node {node} was revoked."
BAD_NAME = "A node's name is up to 63 letters, digits and ._+()-, and begins with a letter or a digit."


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the node is told, and what is still to be done by hand at RabbitMQ."""

    settings: dict[str, str]
    commands: list[str]


def enroll(config: Config, name: str) -> Enrolled:
    """The node's token and its broker user, made anew: those that it had before are good for nothing any more.

    Raises BadRequest for a name that is none, Unavailable where RabbitMQ does not make the user.
    """
    if not re.fullmatch(enrolment.NAME, name):
        raise BadRequest(BAD_NAME)
    db.session.execute(insert(Node).values(name=name).on_conflict_do_nothing())
    node = db.session.scalars(select(Node).where(Node.name == name).with_for_update()).one()
    user, password = f"node-{node.id}", broker_users.new_password()
    node.broker_user, node.broker_hash, node.revoked_at = user, broker_users.hashed_password(password), None
    audit.note(Audited.NODE_ENROLLED, name, broker_user=user)
    _end_tokens(node)
    todo: list[str] = []
    if users := BrokerUsers.of(config):
        users.make(user, node.broker_hash)
        users.close(user)
    else:
        todo = broker_users.commands(broker_users.vhost_of(config.broker_url), user, password)
    token = tokens.store(Token(node_id=node.id))  # commits all of it
    tokens.forget()
    return Enrolled({
        "COORDINATOR_URL": _address(config), "NODE_NAME": name, "NODE_TOKEN": token,
        "BROKER_URL": _login(config.broker_public_url or config.broker_url, user, password),
    }, todo)  # fmt: skip


def revoke(config: Config, name: str) -> tuple[list[Told], str | None]:
    """The node is none of ours any more. Its trainings are queued again at once, for others; what it still reports is
    history. Returns what is to be told, and its user at RabbitMQ, who is to be shut out. Raises NotFound.
    """
    node = db.session.scalars(select(Node).where(Node.name == name).with_for_update()).first()
    if node is None:
        raise NotFound(f"There is no node {name!r}.")
    node.revoked_at, node.broker_hash = node.revoked_at or func.now(), None
    audit.note(Audited.NODE_REVOKED, name)
    user = node.broker_user
    _end_tokens(node)
    db.session.commit()
    tokens.forget()
    return _fence(node.id, config.max_attempts), user


def shut_out(config: Config, user: str) -> list[str]:
    """That user is none any more. Returns what is still to be done by hand at RabbitMQ.

    Raises Unavailable where RabbitMQ does not remove the user: revoking the node once more tries again.
    """
    users = BrokerUsers.of(config)
    if users is None:
        return broker_users.removal(user)
    users.remove(user)
    return []


def _fence(node_id: object, max_attempts: int) -> list[Told]:
    """Ends what the node holds. An attempt whose outcome is in has left its hands: it is settled as ever."""
    held = select(Attempt.run_id, Attempt.number).where(Attempt.node_id == node_id, Attempt.ended_at.is_(None))
    told: list[Told] = []
    for run_id, number in db.session.execute(held).all():
        report = AttemptLost(run_id, number, REVOKED)
        record.loss(max_attempts, report)
        told += report.told
    return told


def _end_tokens(node: Node) -> None:
    its = (Token.node_id == node.id, Token.revoked_at.is_(None))
    for token_id in db.session.scalars(update(Token).where(*its).values(revoked_at=func.now()).returning(Token.id)):
        audit.note(Audited.TOKEN_REVOKED, token_id, node=node.name)


def _address(config: Config) -> str:
    return config.web_public_url or config.public_url or f"http://{config.web_bind}"


def _login(url: str, user: str, password: str) -> str:
    """The address with that login in place of its own, if any."""
    its = urlsplit(url)
    host = its.netloc.rpartition("@")[2]
    return its._replace(netloc=f"{quote(user, safe='')}:{password}@{host}").geturl()
