"""One more web over the record of the platform, which reaches broker and database through gates that tests shut."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.platform import Platform
from services.stack import Stack
from tests.brokers import port_of
from tests.gate import Gate

SAME = ("HELLO_SECONDS", "SOCKET_BACKLOG", "LOG_LEVEL", "WEB_WORKERS", "SOCKET_WRITE_SECONDS")


@dataclass(frozen=True, slots=True)
class Gated:
    """The web, as a platform of which nothing else runs, and its gates."""

    web: Platform
    broker: Gate
    database: Gate


@contextmanager
def gated_web(stack: Stack, platform: Platform, folder: Path) -> Iterator[Gated]:
    """Started, and gone at the end."""
    broker, database = Gate(port_of(stack.env["BROKER_URL"])), Gate(stack.ports["POSTGRES_PORT"])
    web = Platform(stack, folder, {name: platform.env[name] for name in SAME} | {
        "BROKER_URL": broker.url(platform.env["BROKER_URL"]),
        "DATABASE_URL": database.url(platform.env["DATABASE_URL"]),
    })  # fmt: skip
    web.token = platform.token
    try:
        web.start("web")
        yield Gated(web, broker, database)
    finally:
        web.stop()
        broker.shut()
        database.shut()
