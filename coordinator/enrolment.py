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
from .live.bus import Publisher
from .models import Attempt, Node, Token
from .pipeline import record
from .pipeline.reports import AttemptLost

REVOKED = "Its node {node} was revoked."
NO_USER = "It had no RabbitMQ user of its own: whoever knows the login that it was given still gets in there."
BAD_NAME = "A node's name is up to 63 letters, digits and ._+()-, and begins with a letter or a digit."


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the node is told, and what is left to do: a sentence, and commands for RabbitMQ's machine."""

    settings: dict[str, str]
    left_to_do: list[str]


@dataclass(frozen=True, slots=True)
class Revoked:
    """A node that is none any more, and what is left to do: sentences, and commands for RabbitMQ's machine."""

    node: Node
    left_to_do: list[str]


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
    left_to_do: list[str] = []
    if users := BrokerUsers.of(config):
        users.make(user, node.broker_hash)
        users.close(user)
    else:
        vhost = broker_users.vhost_of(config.broker_url)
        left_to_do = [broker_users.BY_HAND, *broker_users.commands(vhost, user, password)]
    token = tokens.store(Token(node_id=node.id))  # commits all of it
    tokens.forget()
    return Enrolled({
        "COORDINATOR_URL": _address(config), "NODE_NAME": name, "NODE_TOKEN": token,
        "BROKER_URL": _login(config.broker_public_url or config.broker_url, user, password),
    }, left_to_do)  # fmt: skip


def revoke(config: Config, publisher: Publisher, name: str) -> Revoked:
    """The node is none of ours any more. Its trainings are queued again at once, for others; what it still reports is
    history. Raises NotFound, and Unavailable where RabbitMQ does not remove its user: all else has been done then, and
    revoking the node once more tries that again.
    """
    node = db.session.scalars(select(Node).where(Node.name == name).with_for_update()).first()
    if node is None:
        raise NotFound(f"There is no node {name!r}.")
    if node.revoked_at is None:
        audit.note(Audited.NODE_REVOKED, name)
        node.revoked_at = func.now()
    node.broker_hash = None
    _end_tokens(node)
    db.session.commit()
    tokens.forget()
    publisher.publish(_fence(node.id, config.max_attempts))
    return Revoked(node, _shut_out(config, node.broker_user))


def _shut_out(config: Config, user: str | None) -> list[str]:
    """That user is none any more. Returns what is left to do."""
    if user is None:
        return [NO_USER]
    if users := BrokerUsers.of(config):
        users.remove(user)
        return []
    return [broker_users.BY_HAND, *broker_users.removal(user)]


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
