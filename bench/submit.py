"""Submits over REST beside their floor: one INSERT and COMMIT, then one publish confirmed by RabbitMQ.

The project answers after the COMMIT; at the same time its relay looks what is to be sent. No node is there, so that is
the first task of a round, and the others wait in the outbox as they do while all nodes are busy.
"""

import http.client
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg2
from kombu import Connection, Queue

from bench.measure import ROUNDS, Sample, progress, ratio, run, show
from services.platform import Platform
from services.stack import Stack

JOB = {
    "agent_config": "agent_config",
    "env_config": {"agent_id": "1", "env_id": "reach1d", "num_of_areas": 8},
    "nn_model_config": {"behavior_name": "Reach1D", "steps": 20_000},
}
SECONDS = 4.0
AIMS = {1: (0.45, 2.5), 8: (0.30, 3.0)}
"""Clients: (at least this part of the floor's rate, at most so many times its p99)."""


def bench(stack: Stack, platform: Platform) -> None:
    """Prints, for 1 and 8 clients, floor and project of the same run."""
    database = psycopg2.connect(dsn(stack))
    database.autocommit = True
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_floor (id uuid PRIMARY KEY, body text)")
    for clients, (aim, aim_p99) in AIMS.items():
        floor: list[Sample] = []
        ours: list[Sample] = []
        for number in range(ROUNDS):
            progress(f"submit, {clients} clients, round {number + 1} of {ROUNDS}")
            floor.append(run(lambda: _floor(stack), clients, SECONDS))
            ours.append(run(lambda: _submit(platform), clients, SECONDS))
            _forget_jobs(database, stack)
        progress("")
        print(f"submit over REST, {clients} client{'s' if clients > 1 else ''}")
        show("floor: INSERT+COMMIT, confirm", floor)
        show("POST /api/v1/train-jobs", ours)
        print(f"  rate / floor   {ratio([s.rate for s in ours], [s.rate for s in floor])}   aim >= {aim}")
        p99s = [[s.quantile(0.99) for s in samples] for samples in (ours, floor)]
        print(f"  p99  / floor   {ratio(*p99s)}   aim <= {aim_p99}\n")


def dsn(stack: Stack) -> str:
    """The database's address as psycopg2 takes it."""
    return stack.env["DATABASE_URL"].replace("+psycopg2", "")


def _floor(stack: Stack) -> Callable[[], None]:
    database = psycopg2.connect(dsn(stack))
    broker = Connection(stack.env["BROKER_URL"], transport_options={"confirm_publish": True})
    queue = Queue("bench.floor", durable=True)(broker.default_channel)
    queue.declare()
    queue.purge()
    producer = broker.Producer()

    def work() -> None:
        with database.cursor() as cursor:
            cursor.execute("INSERT INTO bench_floor VALUES (%s, %s)", (str(uuid4()), "x" * 200))
        database.commit()
        producer.publish({"run_id": str(uuid4())}, routing_key="bench.floor", delivery_mode=2)

    return work


def _submit(platform: Platform) -> Callable[[], None]:
    connection = http.client.HTTPConnection(platform.url.removeprefix("http://"), timeout=30)
    headers = {"Authorization": f"Bearer {platform.token}", "Content-Type": "application/json"}
    body = json.dumps(JOB)

    def work() -> None:
        connection.request("POST", "/api/v1/train-jobs", body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise AssertionError(content)

    return work


def _forget_jobs(database: Any, stack: Stack) -> None:
    with database.cursor() as cursor, Connection(stack.env["BROKER_URL"]) as broker:
        cursor.execute("TRUNCATE jobs CASCADE")
        Queue("train")(broker.default_channel).purge()
