"""A platform of its own whose nodes train with the stub trainer: for faults that take many jobs, nodes or numbers."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import requests

from services.platform import Platform, wait_until
from services.stack import Stack
from tests.jobs import URL, bearer
from tests.stub_trainings import stub_body, stub_environments, stub_settings

BUSY = 8
"""Submits at the same time."""


class Farm:
    """The platform, what it is asked, and what its record says."""

    def __init__(self, stack: Stack, platform: Platform) -> None:
        self.stack, self.platform = stack, platform
        self.headers = bearer(platform.token)

    def submit(self, count: int, steps: int = 200, **changes: Any) -> list[str]:
        """The ids of so many new jobs, each accepted with 200."""
        with ThreadPoolExecutor(BUSY) as pool:
            answers = list(pool.map(lambda _: self._submit(stub_body(steps, **changes)), range(count)))
        assert [answer.status_code for answer in answers] == [200] * count
        return [str(answer.json()["run_id"]) for answer in answers]

    def _submit(self, body: dict[str, Any]) -> requests.Response:
        return requests.post(self.platform.url + URL, json=body, headers=self.headers, timeout=60)

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Of the platform's database; a single column comes as plain values."""
        with closing(psycopg2.connect(self.stack.env["DATABASE_URL"].replace("+psycopg2", ""))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement, values)
            return [row[0] if len(row) == 1 else row for row in cursor.fetchall()] if cursor.description else []

    def count(self, condition: str) -> int:
        """Of jobs."""
        return int(self.rows(f"SELECT count(*) FROM jobs WHERE {condition}")[0])  # noqa: S608

    def job(self, run_id: str) -> Any:
        """As its owner sees it."""
        return requests.get(f"{self.platform.url}{URL}/{run_id}", headers=self.headers, timeout=30).json()

    def until_nodes_are_there(self, count: int) -> None:
        """Until so many have said hello."""
        there = "SELECT count(*) FROM nodes WHERE last_seen_at > now() - interval '10 seconds'"
        wait_until(lambda: self.rows(there) == [count], 60, f"{count} nodes")

    def lose_the_brokers_data(self) -> None:
        """All of it, the users of nodes too."""
        broker = self.stack.rabbitmq
        assert broker
        broker.stop()
        shutil.rmtree(broker.folder / "mnesia")
        broker.start()

    def seconds_until(self, condition: str, most: float, what: str) -> float:
        """How long it took until no job was like that."""
        began = time.monotonic()
        wait_until(lambda: self.count(condition) == 0, most, what)
        return time.monotonic() - began


@contextmanager
def farm(
    folder: Path, nodes: dict[str, str], kinds: dict[str, dict[str, Any]] | None = None, **settings: str
) -> Iterator[Farm]:
    """With private services, and these nodes: name to number of slots. `kinds` as in stub_environments."""
    stack = Stack(folder / "services", environ={})
    stack.start()
    try:
        its = stub_settings(stub_environments(folder / "environments", **kinds or {})) | settings
        with Platform(stack, folder / "platform", its) as platform:
            for name, slots in nodes.items():
                platform.add_node(name, NODE_SLOTS=slots)
            platform.start("web", "results", "recorder", *nodes)
            made = Farm(stack, platform)
            made.until_nodes_are_there(len(nodes))
            yield made
    finally:
        stack.kill()
