"""RabbitMQ that has lost its data knows no node any more: the recorder makes their users again, and trainings go on.

What it needs for that is kept in PostgreSQL as RabbitMQ itself would keep it: a salted hash, from which nobody gets the
password back. Without BROKER_API nothing is made again; docs/deploy.md says what to do then.
"""

import logging
import threading

from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from .broker_users import BrokerUsers
from .config import Config
from .errors import Unavailable
from .extensions import db
from .models import Node

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0


class BrokerLogins:
    """One thread of the recorder. Several recorders may do this: whoever locks a node's row first makes its user."""

    def __init__(self, app: Flask, config: Config, every: float = LOOK_SECONDS) -> None:
        self._app, self._users, self._every = app, BrokerUsers.of(config), every
        self._troubles: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Looks until `stop`. Each thing that hinders it is told once, until nothing does any more."""
        while self._users and not stop.wait(self._every):
            try:
                with self._app.app_context():
                    for name in make_again(self._users):
                        log.warning("RabbitMQ did not know node %s any more; its user is made again.", name)
            except Unavailable as error:
                self._hindered_by(error.detail)
            except SQLAlchemyError as error:
                self._hindered_by(f"PostgreSQL is away: {str(error).splitlines()[0]}")
            else:
                self._hindered_by(None)

    def _hindered_by(self, trouble: str | None) -> None:
        if trouble is None:
            if self._troubles:
                log.info("Users of nodes that RabbitMQ loses are made again, as before.")
            self._troubles.clear()
        elif trouble not in self._troubles:
            self._troubles.add(trouble)
            log.warning("Users of nodes that RabbitMQ has lost can't be made again, and those nodes do not get in: %s",
                        trouble)  # fmt: skip


def make_again(users: BrokerUsers) -> list[str]:
    """The names of enrolled nodes whose user RabbitMQ had lost. Raises Unavailable."""
    enrolled = select(Node).where(
        Node.broker_user.is_not(None), Node.broker_hash.is_not(None), Node.revoked_at.is_(None)
    )
    known, made = users.names(), []
    lost = {node.id for node in db.session.scalars(enrolled) if node.broker_user not in known}
    db.session.commit()
    for node_id in lost:
        # it may have been enrolled anew or revoked since: the row as it is once it is locked decides
        node = db.session.scalars(enrolled.where(Node.id == node_id).with_for_update()).first()
        if node and node.broker_user and node.broker_hash and node.broker_user not in users.names():
            users.make(node.broker_user, node.broker_hash)
            made.append(node.name)
        db.session.commit()
    return made
