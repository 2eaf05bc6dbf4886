"""What a JSON Schema finds wrong, as a sentence that names the option and says what would be right. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ..errors import BadRequest

Schema = Mapping[str, Any]
KINDS = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false",
         "object": "an object", "array": "a list", "null": "null"}  # fmt: skip
LONGEST_VALUE = 60
MOST = 1e300  # what is beyond is no number that anything is computed with


def _is_number(checker: Any, value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST


def _is_whole(checker: Any, value: Any) -> bool:
    return _is_number(checker, value) and value == int(value)


_types = Draft202012Validator.TYPE_CHECKER.redefine("number", _is_number)
STRICT: Any = extend(Draft202012Validator, type_checker=_types.redefine("integer", _is_whole))
LENIENT: Any = extend(Draft202012Validator, type_checker=_types.redefine("integer", _is_number))
"""As ML-Agents reads YAML: it cuts off what a whole number has behind its point."""


def numbers_of_yaml(value: Any) -> Any:
    """YAML 1.1 reads 3e-4 as text; trainers take it for the number that it looks like."""
    if isinstance(value, Mapping):
        return {key: numbers_of_yaml(its) for key, its in value.items()}
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def check(schema: Schema, value: Any, where: str, validator: Any = STRICT) -> None:
    """Raises BadRequest with what is wrong first, in the order of the document."""
    errors = sorted(validator(schema).iter_errors(value), key=lambda error: (len(error.path), str(error.path)))
    if errors:
        raise BadRequest(_sentence(errors[0], where, schema))


def without_required(schema: Schema) -> dict[str, Any]:
    """For a part that is laid over a whole: what is missing in it may be there."""
    properties = {name: without_required(its) for name, its in schema.get("properties", {}).items()}
    return {**schema, "required": []} | ({"properties": properties} if properties else {})


def value_at(given: Any, path: str) -> Any:
    """What is said at a dotted path; None for nothing."""
    for name in path.split("."):
        given = given.get(name) if isinstance(given, Mapping) else None
    return given


def near(name: str, schema: Schema) -> str:
    """What somebody who wrote `name` may have meant: an option of that name elsewhere, alike ones, or all of them."""
    places: dict[str, str] = {}
    for path, last in _leaves(schema):
        places[last] = min(path, places.get(last, path), key=len)
    words = [name] if name in places else get_close_matches(name, places, 3, 0.75)
    if words:
        return f"Did you mean {' or '.join(places[word] for word in words)}?"
    return f"There is {', '.join(sorted(schema.get('properties', {})))}."


def _leaves(schema: Schema, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, its in schema.get("properties", {}).items():
        yield prefix + name, name
        yield from _leaves(its, f"{prefix}{name}.")


def _sentence(error: Any, where: str, schema: Schema) -> str:
    path = ".".join([where, *map(str, error.path)])
    if error.validator == "additionalProperties":
        unknown = sorted(str(name) for name in set(error.instance) - set(error.schema.get("properties", {})))[0]
        return f"{path}: there is no option {show(unknown)}. {near(unknown, _nearest(error, unknown, schema))}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{path} needs a {missing}."
    return f"{path} must be {_wanted(error)}, not {show(error.instance)}."


def _nearest(error: Any, unknown: str, schema: Schema) -> Schema:
    """The object that the option was written in, when it has one like it; otherwise the whole."""
    here: Schema = error.schema
    return here if get_close_matches(unknown, here.get("properties", {}), 1, 0.7) else schema


_WANTED: dict[str, Callable[[Any], str]] = {
    "enum": lambda words: f"one of {', '.join(map(str, words))}",
    "minimum": lambda least: f"at least {least}",
    "maximum": lambda most: f"at most {most}",
    "exclusiveMinimum": lambda least: f"more than {least}",
    "exclusiveMaximum": lambda most: f"less than {most}",
    "multipleOf": lambda number: f"a multiple of {number}",
    "type": lambda kind: " or ".join(KINDS[it] for it in ([kind] if isinstance(kind, str) else kind)),
}


def _wanted(error: Any) -> str:
    return _WANTED.get(error.validator, lambda _: "something else")(error.validator_value)


def show(value: Any) -> str:
    """As it stands in JSON, cut off where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
