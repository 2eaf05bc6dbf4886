"""Users of nodes at RabbitMQ, with the least rights that a node can work with: made by its management API, or else by
whoever runs RabbitMQ, who is told the commands. See docs/adr/0023-a-node-may-only-what-it-must-at-the-broker.md.
"""

import base64
import hashlib
import json
import secrets
import shlex
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import requests

from wire import names

from .config import Config
from .errors import Unavailable

TIMEOUT = 10
LIMITS = {"max-connections": 1_000, "max-channels": 5_000}
"""Of one node, so that one that has gone wild takes no room from the others."""
NOTHING = "^$"
GONE = frozenset({404, 405})
SWITCH_ON = "`rabbitmq-plugins enable rabbitmq_management` switches it on."
ADVICE = "BROKER_API must be its address, with a login, as in http://user:password@host:15672/api/."
BY_HAND = "Run these on RabbitMQ's machine, as whoever may run rabbitmqctl there:"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do: patterns of names, and of routing keys by exchange."""

    configure: str
    write: str
    read: str
    topics: dict[str, str]


NODE = Rights(names.NODE_CONFIGURE, names.NODE_WRITE, names.NODE_READ, names.NODE_TOPICS)


def new_password() -> str:
    return secrets.token_hex(24)


def hashed_password(password: str) -> str:
    """As RabbitMQ keeps it: base64 of four bytes of salt, and the SHA-256 of both."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class BrokerUsers:
    """By the management API. Raises Unavailable with a sentence where that does not do what it is told."""

    def __init__(self, api: str, vhost: str, verify: str | bool = True) -> None:
        self._api, self._vhost, self._verify = api.rstrip("/"), quote(vhost, safe=""), verify

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """None where BROKER_API is not set."""
        if not config.broker_api:
            return None
        return cls(config.broker_api, vhost_of(config.broker_url), config.broker_ca_file or True)

    def names(self) -> set[str]:
        """Of all users there are."""
        return {str(its.get("name")) for its in self._list("/users")}

    def make(self, user: str, hashed: str, rights: Rights = NODE) -> None:
        """Makes the user, or gives it these rights and the password that was `hashed_password`ed."""
        name = quote(user, safe="")
        its = {"password_hash": hashed, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
        self._call("PUT", f"/users/{name}", content=its)
        its = {"configure": rights.configure, "write": rights.write, "read": rights.read}
        self._call("PUT", f"/permissions/{self._vhost}/{name}", content=its)
        for exchange, pattern in rights.topics.items():
            its = {"exchange": exchange, "write": pattern, "read": NOTHING}
            self._call("PUT", f"/topic-permissions/{self._vhost}/{name}", content=its)
        for limit, value in LIMITS.items():
            self._call("PUT", f"/user-limits/{name}/{limit}", content={"value": value})

    def remove(self, user: str) -> None:
        """It can't connect any more, and its connections are closed. One that is not there is no trouble."""
        self._call("DELETE", f"/users/{quote(user, safe='')}", GONE)
        self.close(user)

    def close(self, user: str) -> None:
        """Closes its connections. Those of the last seconds older RabbitMQs do not list yet, and they fail where one
        ends meanwhile, as those of a user do who has just been removed."""
        self._call("DELETE", f"/connections/username/{quote(user, safe='')}", GONE | {500})
        for connection in self._list("/connections"):
            if connection.get("user") == user:
                self._call("DELETE", f"/connections/{quote(connection['name'], safe='')}", GONE | {500})

    def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            told = self._call("GET", path).json()
        except requests.JSONDecodeError:
            told = None
        if not isinstance(told, list) or not all(isinstance(it, dict) for it in told):
            raise Unavailable(f"What answers at {self._where} is not RabbitMQ's management API: {ADVICE}")
        return told

    @property
    def _where(self) -> str:
        """Without its login."""
        return urlsplit(self._api).netloc.rpartition("@")[2]

    def _call(
        self, method: str, path: str, taken: frozenset[int] = frozenset(), content: Any = None
    ) -> requests.Response:
        """`taken` are further statuses that are no trouble."""
        try:
            answer = requests.request(method, self._api + path, json=content, timeout=TIMEOUT, verify=self._verify)
        except requests.RequestException as error:
            said = f"RabbitMQ's management API does not answer at {self._where} ({type(error).__name__})."
            raise Unavailable(f"{said} {SWITCH_ON} {ADVICE}") from error
        if not answer.ok and answer.status_code not in taken:
            why = "Its user must have the tag 'administrator'. " if answer.status_code in (401, 403) else ""
            raise Unavailable(f"RabbitMQ's management API refuses {method} {path}: {answer.status_code}. {why}{ADVICE}")
        return answer


def vhost_of(broker_url: str) -> str:
    return unquote(urlsplit(broker_url).path.removeprefix("/")) or "/"


def commands(vhost: str, user: str, password: str) -> list[str]:
    """What `make` does and `close`, for a shell; whatever of earlier commands was run or not. The password goes by
    a pipe, so that no list of processes shows it."""
    said = f"echo {password} | "
    its = [["set_permissions", "-p", vhost, user, NODE.configure, NODE.write, NODE.read]]
    its += [["set_topic_permissions", "-p", vhost, user, exchange, pattern, NOTHING]
            for exchange, pattern in NODE.topics.items()]  # fmt: skip
    its += [["set_user_limits", user, json.dumps(LIMITS)], ["close_all_user_connections", user, "enrolled"]]
    first = f"{said}{_ctl('add_user', user)} || {said}{_ctl('change_password', user)}"
    return [first, *(_ctl(*words) for words in its)]


def removal(user: str) -> list[str]:
    """What `remove` does, for a shell."""
    return [_ctl("delete_user", user), _ctl("close_all_user_connections", user, "revoked")]


def _ctl(*words: str) -> str:
    return shlex.join(["rabbitmqctl", *words])
