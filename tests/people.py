"""A studio and its neighbours: everybody who may come to the door, each with a token."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator import audit
from coordinator.accounts import credentials, teams, tokens, users
from coordinator.audit import Audited
from coordinator.extensions import db
from coordinator.models import Node, Team, Token
from coordinator.permissions import Role

STUDIO, RIVALS = "studio", "rivals"
CALLERS = ("nobody", "garbage", "expired", "revoked", "stranger", "viewer", "mate", "maker", "owner", "node",
           "other node", "operator")  # fmt: skip
"""The maker has made the job that is asked for; the mate is a member of the same team, the stranger of another."""
IN_THE_STUDIO = {"viewer": Role.VIEWER, "mate": Role.MEMBER, "maker": Role.MEMBER, "owner": Role.OWNER}


@dataclass(frozen=True)
class People:
    """Tokens by caller."""

    tokens: dict[str, str | None]

    def headers(self, caller: str) -> dict[str, str]:
        token = self.tokens[caller]
        return {} if token is None else {"Authorization": f"Bearer {token}"}


def people(scope: str = "admin", mark: str = "") -> People:
    """Makes them; needs the app's context. All names end in the scope's and the mark, so that there may be several."""
    of = f"{scope}{mark}"
    studio, rivals = _team(f"{STUDIO} {of}", f"owner {of}"), _team(f"{RIVALS} {of}", f"stranger {of}")
    made: dict[str, str | None] = {"nobody": None, "garbage": "tj_" + "g" * 43}
    for caller, role in IN_THE_STUDIO.items():
        user = users.made(f"{caller} {of}")
        teams.put(studio.id, user, Role.OWNER if caller == "owner" else role)
        made[caller] = tokens.create_for_user(user.name, studio, scope=scope)
    past = datetime.now(UTC) - timedelta(seconds=1)
    made["expired"] = tokens.create_for_user(f"maker {of}", studio, scope=scope, expires_at=past)
    made["revoked"] = tokens.create_for_user(f"maker {of}", studio, scope=scope)
    credentials.revoke(id_of(made["revoked"]))
    made["stranger"] = tokens.create_for_user(f"stranger {of}", rivals, scope=scope)
    made["node"], made["other node"] = of_node("node"), of_node("other-node")
    users.made(f"operator {of}").is_operator = True
    made["operator"] = tokens.create_for_user(f"operator {of}", scope=scope)
    return People(made)


def of_node(name: str) -> str:
    """A new token of a training node, which is made where there is none of that name: without a user at RabbitMQ."""
    node = db.session.query(Node).where(Node.name == name).first() or Node(name=name)
    if node not in db.session:
        db.session.add(node)
        db.session.flush()
        audit.note(Audited.NODE_ENROLLED, name)
    return tokens.store(Token(node_id=node.id))


def id_of(token: str) -> Any:
    """Of the token's row."""
    return db.session.query(Token.id).where(Token.digest == tokens.digest_of(token)).scalar()


def _team(name: str, owner: str) -> Team:
    return teams.created(name, users.made(owner))
