"""A part of running services that nobody else uses: a database, a virtual host and a bucket.

Made in half a second, where services of one's own take seconds of both processors.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg2

from services.stack import Stack
from tests.brokers import virtual_host


def sql(stack: Stack, statement: str, user: str = "train_jobs") -> None:
    """One statement outside any transaction."""
    url = stack.env["DATABASE_URL"].replace("+psycopg2", "").replace("//train_jobs:", f"//{user}:")
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
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
