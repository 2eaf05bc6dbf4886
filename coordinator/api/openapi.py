"""The document of the REST API, OpenAPI 3.1: made of the routes, of what stands beside them, and of the forms."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from wire.names import VERSION

from ..permissions import TABLE, Action
from .auth import OF_A_THING, Door, Need, need_of
from .described import Bytes, Description, description_of
from .forms import Error
from .json_schemas import Schema, Schemas
from .openapi_answers import JSON, described, header, refusal, responses
from .openapi_words import ABOUT, PATH, SECURITY, STATUSES, TAG_OF, TAGS, TITLE
from .parameters import Conditional, Paged, PartOfFile, Tagged, TaggedPage

CONVERTERS: dict[str, Schema] = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer", "minimum": 0},
    "default": {"type": "string", "minLength": 1},
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A route with one of its methods."""

    rule: Rule
    method: str
    view: Callable[..., Any]
    need: Need
    its: Description


def document(app: Flask) -> Schema:
    """The whole document. Routes that say nothing of themselves are not in it; a test finds them."""
    operations = [*_operations(app)]
    told = [form for one in operations for form in _told(one.its)]
    schemas = Schemas([Error, PartOfFile, *told], [one.its.body for one in operations if one.its.body])
    paths: Schema = {}
    for one in operations:
        paths.setdefault(_path(one.rule), {})[one.method.lower()] = _operation(one, schemas)
    used = _referred_to(paths, schemas.components) | {"Error"}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": TITLE, "version": VERSION, "description": ABOUT,
                 "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {name: its for name, its in sorted(schemas.components.items()) if name in used},
            "responses": {str(status): refusal(status, schemas) for status in STATUSES},
            "securitySchemes": SECURITY,
        },
    }  # fmt: skip


def _operations(app: Flask) -> Iterator[Operation]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda it: it.rule):
        view = app.view_functions[rule.endpoint]
        need, its = need_of(view), description_of(view)
        if need and its and not rule.websocket:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Operation(rule, method, view, need, _tagged(its, method))


def _tagged(its: Description, method: str) -> Description:
    """With what etags.py does to all JSON that is read."""
    if method != "GET" or isinstance(its.answer, Bytes):
        return its
    return replace(its, headers=its.headers or Conditional, sends=TaggedPage if its.sends is Paged else Tagged)


def _told(its: Description) -> Iterator[Any]:
    answer = [its.answer.headers] if isinstance(its.answer, Bytes) else [its.answer]
    yield from (form for form in (*answer, its.query, its.headers, its.sends) if form is not None)


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def _operation(one: Operation, schemas: Schemas) -> Schema:
    summary, _, more = " ".join((one.view.__doc__ or "").split()).partition(". ")
    made: Schema = {
        "operationId": one.rule.endpoint.replace(".", "_"),
        "tags": [_tag(one)],
        "summary": summary.rstrip("."),
        "description": "\n\n".join(text for text in (more, _permission(one.need)) if text),
        "security": _security(one.need),
        "parameters": [*_parameters(one, schemas)],
        "responses": responses(one.rule, one.need, one.its, schemas),
    }
    if one.its.body:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas.taken(one.its.body)}}}
    return made


def _tag(one: Operation) -> str:
    return "training nodes" if one.need.of is Door.NODES else TAG_OF.get(one.rule.endpoint.partition(".")[0], "results")


def _security(need: Need) -> list[Schema]:
    if need.of is Door.ANYBODY:
        return []
    if need.of is Door.NODES:
        return [{"node": []}]
    return [{"user": []}, {}] if need.guests else [{"user": []}]


def _permission(need: Need) -> str:
    if not isinstance(need.of, Action):
        return ""
    (scope, roles), others = TABLE[need.of], TABLE[Action.CHANGE_OTHERS][1]
    told = f"For tokens of the scope `{scope}` or more; roles: {', '.join(sorted(roles))}."
    return f"{told} What others have made: {', '.join(sorted(others))}." if need.of in OF_A_THING else told


def _parameters(one: Operation, schemas: Schemas) -> Iterator[Schema]:
    for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", one.rule.rule):
        yield {"name": name, "in": "path", "required": True, "description": PATH[name],
               "schema": CONVERTERS[kind or "default"]}  # fmt: skip
    for where, form in (("query", one.its.query), ("header", one.its.headers)):
        if form is not None:
            its = schemas.unfolded(form)
            for name, schema in its["properties"].items():
                yield _field(name if where == "query" else header(name), schema) | {
                    "in": where, "required": name in its.get("required", [])
                }  # fmt: skip


def _field(name: str, schema: Schema) -> Schema:
    return {"name": name, **described(schema)}


def _referred_to(value: Any, components: Schema) -> set[str]:
    """Names of the components that something refers to, over others too."""
    found: set[str] = set()
    left = [value]
    while left:
        for name in set(re.findall(r"'#/components/schemas/([^']+)'", str(left.pop()))) - found:
            found.add(name)
            left.append(components[name])
    return found
