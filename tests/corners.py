"""A part of running services that nobody else uses: a database, a virtual host and a bucket.

Made in half a second, where services of one's own take seconds of both processors.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2

from services.stack import Stack
from tests.brokers import virtual_host


@contextmanager
def connect(stack: Stack, user: str = "train_jobs", database: str | None = None) -> Iterator[Any]:
    """A connection without transactions. The user "postgres" may do everything."""
    url = stack.env["DATABASE_URL"] if database is None else database_url(stack, database)
    address = url.replace("+psycopg2", "").replace("//train_jobs:", f"//{user}:")
    with closing(psycopg2.connect(address)) as connection:
        connection.autocommit = True
        yield connection


def sql(stack: Stack, statement: str, user: str = "train_jobs") -> None:
    """One statement outside any transaction."""
    with connect(stack, user) as connection:
        connection.cursor().execute(statement)


def database_url(stack: Stack, name: str) -> str:
    return f"{stack.env['DATABASE_URL'].rpartition('/')[0]}/{name}"


@contextmanager
def corner(stack: Stack, folder: Path) -> Iterator[Stack]:
    """As a Stack that starts nothing. Its platforms have to be stopped before its end."""
    name = f"corner_{uuid4().hex[:8]}"
    sql(stack, f"CREATE DATABASE {name}")
    with virtual_host(stack.env["BROKER_URL"], stack.env["BROKER_API"]) as broker_url:
        its = {"DATABASE_URL": database_url(stack, name), "BROKER_URL": broker_url, "S3_BUCKET": name.replace("_", "-")}
        yield Stack(folder, environ=stack.env | its)
    sql(stack, f"DROP DATABASE {name} WITH (FORCE)", "postgres")
