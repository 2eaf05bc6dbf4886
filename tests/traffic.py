"""Holds what is really sent and answered against the API's document: what a test's client sees, it has to say.

Objects are taken as closed here, although clients are to ignore what they don't know: a field that is sent is told of.
"""

import functools
import json
import re
import struct
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import websocket
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect, Rule

from coordinator.api import asyncapi, openapi
from coordinator.app import create_app
from coordinator.config import Config

OURS = re.compile(r"/(api/v1|livez|readyz)\b")
violations: list[str] = []
"""What was seen that is not as the document says; the test that is running fails for it."""


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `sent` and `content` are None where they are not looked at."""

    method: str
    url: str
    sent: bytes | None
    status: int
    headers: Any
    content: bytes | None


def saw(exchange: Exchange) -> None:
    """Looks at it, if it is of the REST API."""
    path = urlsplit(exchange.url).path
    if exchange.method != "OPTIONS" and OURS.match(path):
        violations.extend(f"{exchange.method} {path} → {exchange.status}: {it}" for it in _wrong_with(exchange, path))


_one_at_a_time = threading.Lock()


@functools.cache
def _app() -> Any:
    return create_app(Config(database_url="postgresql://nobody@localhost/none", broker_url="amqp://localhost/none"))


def document() -> Any:
    """The API's document as it is served."""
    with _one_at_a_time:  # tests ask from many threads
        return _document()


@functools.cache
def _document() -> Any:
    return openapi.document(_app())


def _wrong_with(its: Exchange, path: str) -> list[str]:
    rule = _rule(path, its.method)
    if rule is None:
        return _wrong_with_body(("responses", "404"), its)
    address = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    where = ("paths", address, "GET" if its.method == "HEAD" else its.method)
    operation = document()["paths"].get(address, {}).get(where[2].lower())
    if operation is None:
        return ["no operation of the document. Its route needs @tells(...)"]
    answer = operation["responses"].get(str(its.status))
    if answer is None:
        return ["this status is not in the document. Add it to the route's @tells(..., refuses={...})"]
    found = _missing_headers(_resolved(answer), its.headers)
    if its.method != "HEAD":
        found += _wrong_with_body((*where, str(its.status)), its)
    if its.status == 200 and its.sent and "requestBody" in operation:
        found += [f"what was sent: {it}" for it in _errors((*where, "body"), its.sent)]
    return found


def _rule(path: str, method: str) -> Rule | None:
    """The route that takes it; None where there is none, or not by that method."""
    try:
        rule, _ = _app().url_map.bind("localhost").match(path, method=method, return_rule=True)
    except (NotFound, MethodNotAllowed, RequestRedirect):
        return None
    return None if rule.websocket else rule


def _resolved(value: Any) -> Any:
    return document()["components"]["responses"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value


def _missing_headers(answer: Any, headers: Any) -> list[str]:
    needed = [name for name, its in answer.get("headers", {}).items() if its.get("required")]
    return [f"there is no header {name}" for name in needed if name not in headers]


def _answer_of(where: tuple[str, ...]) -> Any:
    if where[0] == "responses":
        return document()["components"]["responses"][where[1]]
    return _resolved(document()["paths"][where[1]][where[2].lower()]["responses"][where[3]])


def _wrong_with_body(where: tuple[str, ...], its: Exchange) -> list[str]:
    media = its.headers.get("Content-Type", "").partition(";")[0]
    told = _answer_of(where).get("content", {})
    if told and media not in told and "*/*" not in told:
        return [f"its content is {media}, not {', '.join(told)}"]
    return _errors(where, its.content) if media == "application/json" and its.content is not None else []


def _errors(where: tuple[str, ...], content: bytes) -> list[str]:
    return [f"{'.'.join(map(str, it.instance_path))}: {it.message[:300]}" for it in
            _validator(where).iter_errors(json.loads(content))][:3]  # fmt: skip


@functools.cache
def _validator(where: tuple[str, ...]) -> Any:
    its = _operation_body(where) if where[-1] == "body" else _answer_of(where)["content"]["application/json"]["schema"]
    return _made(its, document()["components"], is_closed=where[-1] != "body")


def errors_of_message(name: str, message: Any) -> list[str]:
    """What is wrong with a message of the document of messages, by its key there."""
    return [f"{name}: {'.'.join(map(str, it.instance_path))}: {it.message[:300]}"
            for it in _validator_of_message(name).iter_errors(message)][:3]  # fmt: skip


STREAM = {0: "METRICS", 1: "build-state", 2: "STATUS", 4: "build-state", 10: "ERROR", 11: "LOG", 12: "SKIPPED",
          13: "CHECKPOINT"}  # fmt: skip


def received(opcode: int, data: bytes) -> None:
    """Looks at what has come over a game's WebSocket."""
    if opcode == websocket.ABNF.OPCODE_TEXT:
        violations.extend(f"WebSocket: {it}" for it in errors_in_stream(data))
    elif opcode == websocket.ABNF.OPCODE_CLOSE and len(data) > 1:
        code, told = struct.unpack("!H", data[:2])[0], messages()["channels"]["client-stream"]["x-close-codes"]
        if str(code) not in told:
            violations.append(f"WebSocket: it was closed with {code}, of which the document of messages does not tell.")


def errors_in_stream(text: str | bytes) -> list[str]:
    """What is wrong with a text of the games' WebSocket."""
    message = json.loads(text)
    name = STREAM.get(int(message.get("msg_id", -1)))
    return errors_of_message(name, message) if name else [f"There is no message {text[:200]!r}."]


@functools.cache
def messages() -> Any:
    """The document of messages as it is served."""
    return asyncapi.document(_app())


@functools.cache
def _validator_of_message(name: str) -> Any:
    components = messages()["components"]
    return _made(components["messages"][name]["payload"], {"schemas": components["schemas"]}, is_closed=True)


def _made(schema: Any, components: Any, is_closed: bool) -> Any:
    whole = {**schema, "components": components}
    return jsonschema_rs.Draft202012Validator(_closed(whole) if is_closed else whole, validate_formats=True)


def _operation_body(where: tuple[str, ...]) -> Any:
    return document()["paths"][where[1]][where[2].lower()]["requestBody"]["content"]["application/json"]["schema"]


def _closed(value: Any) -> Any:
    """The same schema, in which no object has fields that are not told of."""
    if isinstance(value, list):
        return [_closed(it) for it in value]
    if not isinstance(value, dict):
        return value
    made = {key: _closed(it) for key, it in value.items()}
    if isinstance(value.get("properties"), dict) and value.get("type") == "object" and not _is_of_a_build(value):
        made.setdefault("additionalProperties", False)
    return made


def _is_of_a_build(schema: Any) -> bool:
    """What a build says has whatever fields the build likes; a hello may have fields that come with a later version."""
    return "episodeCount" in schema["properties"] or "ticket" in schema["properties"]
