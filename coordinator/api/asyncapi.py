"""The document of what is not REST, AsyncAPI 3: the games' WebSocket, what nodes say over RabbitMQ, and the bridge."""

from collections.abc import Iterable, Iterator

from flask import Flask

from wire.facts import CAUSES, KINDS, OUTCOMES
from wire.names import VERSION

from .asyncapi_channels import CHANNELS, SERVERS, Channel, Message
from .json_schemas import Schema, Schemas

ABOUT = (
    "Messages over WebSockets and RabbitMQ; what is asked over HTTP is in the document `/api/v1/openapi.json`. "
    "Operations are told as the coordinator sees them, those of the bridge as a training node does. Unknown fields "
    "and, on the WebSocket of games, unknown `msg_id` are to be ignored. Numbers are finite."
)
WORDS: dict[str, dict[str, Iterable[str]]] = {
    "Outcome": {"status": OUTCOMES, "cause": CAUSES, "achieved": OUTCOMES}, "Artifact": {"kind": KINDS},
}  # fmt: skip
"""Fields of the wire's dataclasses that are one of some words, as `wire.facts` checks them."""


def document(app: Flask) -> Schema:
    """The whole document."""
    every = [message for channel in CHANNELS for message in (*channel.sent, *channel.received)]
    schemas = Schemas([form for message in every for form in message.forms])
    for name, fields in WORDS.items():
        for field, words in fields.items():
            _narrow(schemas.components[name]["properties"][field], [*words])
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Train Jobs Coordinator", "version": VERSION, "description": ABOUT,
                 "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": dict(operation for channel in CHANNELS for operation in _operations(channel)),
        "components": {
            "messages": {message.key: _message(message, schemas) for message in every},
            "schemas": dict(sorted(schemas.components.items())),
        },
    }  # fmt: skip


def _narrow(schema: Schema, words: list[str]) -> None:
    for one in schema.get("anyOf", [schema]):
        if one.get("type") == "string":
            one["enum"] = words


def _channel(its: Channel) -> Schema:
    made: Schema = {
        "address": its.address,
        "title": its.title,
        "description": its.about,
        "servers": [{"$ref": f"#/servers/{its.server}"}],
        "messages": {message.key: {"$ref": f"#/components/messages/{message.key}"}
                     for message in (*its.sent, *its.received)},
        "bindings": its.bindings,
    }  # fmt: skip
    if its.parameters:
        made["parameters"] = {name: {"description": about} for name, about in its.parameters.items()}
    if its.closes:
        made["x-close-codes"] = {str(code): when for code, when in its.closes.items()}
    return made


def _operations(its: Channel) -> Iterator[tuple[str, Schema]]:
    for action, messages in (("send", its.sent), ("receive", its.received)):
        if messages:
            yield f"{action}-{its.name}", {
                "action": action,
                "channel": {"$ref": f"#/channels/{its.name}"},
                "messages": [{"$ref": f"#/channels/{its.name}/messages/{message.key}"} for message in messages],
            }  # fmt: skip


def _message(its: Message, schemas: Schemas) -> Schema:
    made: Schema = {"name": its.name, "title": its.name, "summary": its.about or _about(its, schemas),
                    "contentType": its.media}  # fmt: skip
    if its.task is not None:
        made["headers"] = {"type": "object", "properties": {"task": {"const": its.task}}, "required": ["task"]}
        made["payload"] = _task(its, schemas)
    elif its.form is not None:
        made["payload"] = schemas.told(its.form)
    if its.headers is not None:
        made["headers"] = schemas.told(its.headers)
    return made


def _about(its: Message, schemas: Schemas) -> str:
    return str(schemas.referred(schemas.told(its.form)).get("description", "")).partition("\n")[0]


def _task(its: Message, schemas: Schemas) -> Schema:
    """A Celery message of protocol 2: arguments, named arguments, and what is to follow."""
    arguments = {name: schemas.told(form) for name, form in its.arguments.items()}
    placed = [] if its.are_named else [{"title": name, **schema} for name, schema in arguments.items()]
    by_place: Schema = {"type": "array", "minItems": len(placed), "maxItems": len(placed)}
    if placed:
        by_place["prefixItems"] = placed
    by_name: Schema = {"type": "object"}
    if its.are_named and arguments:
        by_name |= {"properties": arguments, "required": [*arguments]}
    return {"type": "array", "minItems": 3, "maxItems": 3, "prefixItems": [by_place, by_name, {"type": "object"}]}
