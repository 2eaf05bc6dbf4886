"""Connections to PostgreSQL that died in the pool are replaced, not served.

SQLAlchemy's own `pool_pre_ping` asks before every use, which costs a busy process a round trip each time; a connection
that worked a moment ago is taken at its word here.
"""

import time
from typing import Any, Protocol

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

AWAY = (OperationalError, InterfaceError, InternalError, NoConnectionFree)
"""What is raised while PostgreSQL is away, starts, or takes nothing: the same work may be done later."""
IDLE_SECONDS = 1.0


class Executes(Protocol):
    """A session or a connection."""

    def execute(self, statement: Any, /) -> Any: ...


def check_idle(engine: Engine) -> None:
    """From now on, connections that were idle for a second are tried before they are used."""

    @event.listens_for(engine, "checkin")
    def note(connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, proxy: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", 0.0) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:  # the pool then makes a new one
            raise DisconnectionError from error
