"""Databases for tests, lent one after the other: to empty one takes a tenth of what it takes to make one.

Each begins as the template is. One whose tables were changed is dropped, so that a test may do with it what it likes.
"""

import io
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services.stack import Stack
from tests.corners import connect, sql

_numbers = itertools.count(1)
TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
SEQUENCES = "SELECT quote_ident(sequencename), last_value FROM pg_sequences WHERE schemaname = 'public'"
STRUCTURE = """
SELECT md5(string_agg(line, chr(10) ORDER BY line)) FROM (
  SELECT concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull) FROM pg_class c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname) FROM pg_constraint WHERE conrelid <> 0
  UNION ALL SELECT concat_ws(' ', proname, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS its(line)
"""
END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Databases:
    """Of running services. `template` is the name of a database that nobody is connected to."""

    def __init__(self, stack: Stack, template: str) -> None:
        self._stack, self._template = stack, template
        self._free: list[str] = []
        with self._open(template) as cursor:
            self._structure, self._sequences = _one(cursor, STRUCTURE), _all(cursor, SEQUENCES)
            self._tables = [name for (name,) in _all(cursor, TABLES)]
            self._rows = {table: rows for table in self._tables if (rows := _copied(cursor, table))}

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The name of a database that nobody else uses."""
        name = self._free.pop() if self._free else self._made()
        yield name
        if self._is_as_before(name):
            self._free.append(name)
        else:
            sql(self._stack, f"DROP DATABASE {name} WITH (FORCE)", "postgres")  # only it may end a vacuum that is at it

    def _made(self) -> str:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        sql(self._stack, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def _is_as_before(self, name: str) -> bool:
        """Once its rows are, if its structure is."""
        with self._open(name) as cursor:
            cursor.execute(END_OTHERS)
            if _one(cursor, STRUCTURE) != self._structure:
                return False
            cursor.execute("SET session_replication_role = replica")  # no trigger asks, no other row is looked at
            used = " UNION ALL ".join(f"SELECT '{it}' WHERE EXISTS (SELECT FROM {it})" for it in self._tables)  # noqa: S608
            for (table,) in _all(cursor, used):
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608
            for table, rows in self._rows.items():
                cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO(rows))
            for sequence, last in self._sequences:
                cursor.execute("SELECT setval(%s, %s, %s)", (sequence, last or 1, last is not None))
        return True

    @contextmanager
    def _open(self, name: str) -> Iterator[Any]:
        with connect(self._stack, "postgres", name) as connection, connection.cursor() as cursor:
            yield cursor


def _one(cursor: Any, statement: str) -> Any:
    return _all(cursor, statement)[0][0]


def _all(cursor: Any, statement: str) -> list[tuple[Any, ...]]:
    cursor.execute(statement)
    return list(cursor.fetchall())


def _copied(cursor: Any, table: str) -> str:
    rows = io.StringIO()
    cursor.copy_expert(f"COPY {table} TO STDOUT", rows)
    return rows.getvalue()
