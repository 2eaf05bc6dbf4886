"""How the API's document tells what a route answers: its success, and each way in which it may refuse."""

from collections.abc import Iterator
from dataclasses import replace

from werkzeug.routing import Rule

from ..permissions import Action
from .auth import Door, Need
from .described import Bytes, Description
from .forms import Error
from .json_schemas import Schema, Schemas
from .openapi_words import HEADERS, STATUSES
from .parameters import PartOfFile

JSON = "application/json"
WHERE = "#/components/responses/"
OPAQUE = "application/octet-stream"
PART = Bytes(OPAQUE, "The bytes of the part that was asked for.", PartOfFile)


def responses(rule: Rule, need: Need, its: Description, schemas: Schemas) -> Schema:
    """Of one route, by status."""
    told = dict.fromkeys(_refusals(rule, need, its), "") | its.refuses
    refused = {
        str(status): refusal(status, schemas) | {"description": when} if when else {"$ref": f"{WHERE}{status}"}
        for status, when in told.items()
    }
    looked_at = schemas.unfolded(its.headers)["properties"] if its.headers else {}
    if "if_none_match" in looked_at:
        refused |= {"304": {"description": "It has not changed."}, "412": {"$ref": f"{WHERE}412"}}
    if "range" in looked_at:
        refused |= {"206": _success(replace(its, answer=PART), schemas), "416": {"$ref": f"{WHERE}416"}}
    return {"200": _success(its, schemas), **dict(sorted(refused.items()))}


def refusal(status: int, schemas: Schemas) -> Schema:
    """What all routes have in common that may answer so."""
    made: Schema = {"description": STATUSES[status], "content": {JSON: {"schema": schemas.told(Error)}}}
    return made | ({"headers": HEADERS[status]} if status in HEADERS else {})


def described(schema: Schema) -> Schema:
    """The description beside the schema, where people look for it."""
    return {"description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "description"}}  # fmt: skip


def header(name: str) -> str:
    """A header's name, of a field's."""
    return "ETag" if name == "etag" else name.replace("_", "-").title()


def _refusals(rule: Rule, need: Need, its: Description) -> Iterator[int]:
    """The statuses that can be told from what a route needs and takes."""
    may = {
        401: need.of is not Door.ANYBODY, 403: isinstance(need.of, Action), 404: "<" in rule.rule, 408: its.body,
        413: its.body, 429: need.of is not Door.ANYBODY, 422: True, 500: True, 503: True,
        400: True, 414: True, 431: True,  # by gunicorn, before any route is known
    }  # fmt: skip
    yield from (status for status, does in may.items() if does)


def _success(its: Description, schemas: Schemas) -> Schema:
    answer, sent = its.answer, [its.sends]
    if isinstance(answer, Bytes):
        content = {} if answer.media == OPAQUE else {"schema": {"type": "string"}}
        made: Schema = {"description": answer.about, "content": {answer.media: content}}
        sent.append(answer.headers)
    else:
        schema = schemas.told(answer)
        others: Schema = {other.media: {"schema": {"type": "string"}} for other in its.alternatives}
        made = {"description": _about(schema, schemas), "content": {JSON: {"schema": schema}, **others}}
    forms = [schemas.unfolded(form) for form in sent if form]
    headers = {
        header(name): described(field) | {"required": name in form.get("required", []) and not its.alternatives}
        for form in forms
        for name, field in form["properties"].items()
    }
    return made | ({"headers": headers} if headers else {})


def _about(schema: Schema, schemas: Schemas) -> str:
    """What an answer is, in a word."""
    if schema.get("type") == "array":
        return f"A list: {_about(schema['items'], schemas)}"
    if "$ref" in schema:
        return str(schemas.referred(schema).get("description", "")).partition("\n")[0]
    return "`true`: done." if schema.get("type") == "boolean" else "The answer."
