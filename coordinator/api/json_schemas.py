"""JSON Schemas of the forms and bodies, as both of the API's documents have them under components/schemas."""

import ast
import functools
import inspect
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from pydantic import create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from typing_extensions import get_original_bases, is_typeddict

Schema = dict[str, Any]
WHERE = "#/components/schemas/"


class Schemas:
    """Of the types that it is made with: what is answered or sent, and what is taken."""

    def __init__(self, told: Iterable[Any], taken: Iterable[Any] = ()) -> None:
        self.components: Schema = {}
        """By name, what the others refer to."""
        self._schemas: dict[tuple[JsonSchemaMode, Any], Schema] = {}
        self._add("serialization", [*dict.fromkeys(told)])
        self._add("validation", [*dict.fromkeys(taken)])

    def told(self, form: Any) -> Schema:
        """The schema of something that is answered or sent."""
        return self._schemas["serialization", form]

    def taken(self, form: Any) -> Schema:
        """The schema of something that is taken."""
        return self._schemas["validation", form]

    def referred(self, schema: Schema) -> Schema:
        """The schema itself, or the component that it refers to."""
        return dict(self.components[schema["$ref"].removeprefix(WHERE)]) if "$ref" in schema else schema

    def unfolded(self, form: Any) -> Schema:
        """The schema of an object that is only a list of its fields, such as parameters."""
        return self.referred(self.told(form))

    def _add(self, mode: JsonSchemaMode, forms: list[Any]) -> None:
        fields: Any = {f"f{number}": (form, ...) for number, form in enumerate(forms)}
        made = create_model("Forms", **fields).model_json_schema(
            ref_template=WHERE + "{model}", schema_generator=_Described, mode=mode
        )
        self.components |= made.get("$defs", {})
        self._schemas |= {(mode, form): made["properties"][f"f{number}"] for number, form in enumerate(forms)}


class _Described(GenerateJsonSchema):
    """With what stands below a field as its description, and without titles that only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dataclass_schema(self, schema: Any) -> Schema:
        return _with_told(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: Any) -> Schema:
        return _with_told(super().typed_dict_schema(schema), schema["cls"])

    def model_schema(self, schema: Any) -> Schema:
        made: Schema = super().model_schema(schema)
        made.pop("title", None)
        return made


def _with_told(made: Schema, form: type) -> Schema:
    made.pop("title", None)
    told = _told_of_fields(form)
    for name, its in made.get("properties", {}).items():
        if name in told:
            its.setdefault("description", told[name])
    return made


def _told_of_fields(form: type) -> dict[str, str]:
    """The text below each field of a TypedDict or a dataclass, those of a TypedDict's bases too."""
    told: dict[str, str] = {}
    for base in get_original_bases(form):
        told |= _told_of_fields(base) if is_typeddict(base) else {}
    for line, text in pairwise(_classes_of(form.__module__)[form.__name__].body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(text, ast.Expr):
            told[line.target.id] = inspect.cleandoc(str(ast.literal_eval(text.value)))
    return told


@functools.cache
def _classes_of(module: str) -> dict[str, ast.ClassDef]:
    source = inspect.getsource(sys.modules[module])
    return {it.name: it for it in ast.parse(source).body if isinstance(it, ast.ClassDef)}
