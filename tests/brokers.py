"""The broker of the tests: one of their own, or the one that TEST_BROKER_URL names."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from amqp.exceptions import AccessRefused
from kombu import Connection

URL, API = "TEST_BROKER_URL", "TEST_BROKER_API"
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


@contextmanager
def broker_of_tests(environ: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """The variables by which a Stack finds a broker that is there, in a virtual host that is deleted at the end.

    None of them, so that it starts its own, where TEST_BROKER_URL is not set.
    """
    if not environ.get(URL):
        yield {}
        return
    api = environ.get(API)
    assert api, f"With {URL}, {API} must be its management API, as http://user:password@host:15672/api/."
    with virtual_host(environ[URL], api) as url:
        yield {"BROKER_URL": url, "BROKER_API": api, "FLOWER_BROKER_API": api}


def port_of(url: str) -> int:
    """Where the broker listens."""
    return urlsplit(url).port or 5672


def logs_in(its: dict[str, str]) -> bool:
    """Whether the broker takes what a node was told."""
    with Connection(its["BROKER_URL"], connect_timeout=4) as connection:
        try:
            connection.connect()
        except AccessRefused:
            return False
        return True


@contextmanager
def virtual_host(url: str, api: str) -> Iterator[str]:
    """The address of an empty virtual host of the broker, for the user of `url`."""
    name, user = f"test_{os.getpid()}_{uuid4().hex[:8]}", url.partition("//")[2].partition(":")[0]
    requests.put(f"{api}vhosts/{name}", timeout=10).raise_for_status()
    requests.put(f"{api}permissions/{name}/{user}", json=EVERYTHING, timeout=10).raise_for_status()
    yield f"{url.rpartition('/')[0]}/{name}"
    requests.delete(f"{api}vhosts/{name}", timeout=10).raise_for_status()
