"""Messages that are none of ours, published as a broken or hostile program would: past every library's checks."""

import itertools
import json
import zlib
from typing import Any
from uuid import uuid4

from amqp import Message
from kombu import Connection

JSON = "application/json"
ID = {"id": "0b9b8f3c-7e1f-4a55-8a3c-9a7a3b1f0c11"}
BOMB = zlib.compress(bytes(50_000_000))
Piece = tuple[bytes, dict[str, Any]]
"""Body and AMQP properties."""


def piece(body: bytes, kind: str | None = JSON, **properties: Any) -> Piece:
    its = {} if kind is None else {"content_type": kind}
    return body, {"content_encoding": "utf-8", **its, **properties}


def task(name: Any, content: Any, **headers: Any) -> Piece:
    """A Celery message of that name with whatever content and headers."""
    return piece(json.dumps(content).encode(), application_headers={"task": name, **ID, **headers})


ANYWHERE: list[Piece] = [
    (b"", {}), piece(b"nonsense", "text/plain"), piece(b"\x80\x04\x95", "application/x-python-serialize"),
    piece(b"nonsense"), piece(b"[]"), piece(b"\xff" * 1_000, "a/b"), piece(b"[" * 100_000), piece(b"{" * 100_000),
    piece(b'{"type":"worker-online"}'), piece(b'{"task":"coord.outcome","id":"1","args":[1],"kwargs":{}}'),
    piece(b'"text"'), piece(b"nonsense", content_encoding="klingon"), piece(b"\xff\xfe"),
    piece(BOMB, application_headers={"compression": "application/x-gzip"}),
    piece(b"{}", application_headers={"compression": "no such thing"}),
    piece(b"nonsense", "half a character: \ud800"), piece(b"nonsense", application_headers={"half": "one: \ud800"}),
    piece(b'{"nul":"\\u0000"}', correlation_id="\ud800"),
]  # fmt: skip
LARGE = piece(b"x" * 9_000_000)


def tasks(name: str) -> list[Piece]:
    """Garbage for a Celery queue whose worker knows that task."""
    triple: list[Any] = [[], {}, {}]
    return [
        task("no.such", triple), task("celery.backend_cleanup", triple), task(["a", "list"], triple),
        task(None, triple), task(name, triple), task(name, [[1, 2, 3, 4, 5], {}, {}]),
        task(name, [[], {"no": "such"}, {}]),
        task(name, "text"), task(name, []), task(name, {"args": 1}), task(name, ["args", 1, 2]), task(name, None),
        task(name, [["x"], {}, {"callbacks": 5, "errbacks": [1]}], timelimit="long"),
        task(name, triple, id=7), task(name, triple, id=None), task(name, triple, eta=5),
        piece(b"nonsense", application_headers={"task": name, **ID}),
        piece(b"[" * 100_000, application_headers={"task": name, **ID}),
        piece(b"[[],{},{}]", "text/plain", application_headers={"task": name, **ID}),
        piece(b"[[],{},{}]", application_headers={"task": name, **ID}, content_encoding="klingon"),
    ]  # fmt: skip


def events(run_id: str) -> list[Piece]:
    """Garbage for the recorder, some of it about a run that there is."""

    def facts(*items: Any, **fields: Any) -> Piece:
        its = {"type": "training-facts", "run_id": run_id, "attempt": 1, "facts": list(items), **fields}
        return piece(json.dumps(its).encode())

    good = {"n": 1, "kind": "phase", "phase": "RUNNING"}
    return [
        facts(), facts("text"), facts(good | {"kind": "dance"}), facts(good | {"n": -1}), facts(good | {"n": 2**70}),
        facts(good, run_id="nonsense"), facts(good, run_id=str(uuid4())), facts(good, attempt=7),
        facts(good, attempt="one"), facts(good, attempt=2**70), facts(good, facts=None), facts(good, type="task-sent"),
    ]  # fmt: skip


def publish(url: str, exchange: str, key: str, pieces: list[Piece], times: int = 1) -> int:
    """Sends the pieces in turn, so many in all (or each once), and returns how many it were once RabbitMQ has them."""
    wanted = max(times, len(pieces))
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        for body, properties in itertools.islice(itertools.cycle(pieces), wanted):
            channel.basic_publish(Message(body, **properties), exchange=exchange, routing_key=key)
    return wanted
