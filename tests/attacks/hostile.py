"""Texts that break out of where they are put, and every place in a schema that takes a text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

MARK = "evil-3b0c"
"""In each text: whatever is named by one is found by it."""
Path_ = tuple[str | int, ...]
"""Into a JSON value: names of fields, 0 for the first item of a list, or one of these two."""
NAME, VALUE = "<a name>", "<a value>"
"""Of an object that takes any names."""


def texts(canary: Path, url: str) -> dict[str, str]:
    """`canary` is a file that commands would make, `url` an address that nobody has a reason to ask."""
    up = "../" * 12
    return {
        "a path": f"{up}tmp/{MARK}",
        "an absolute path": f"/tmp/{MARK}",  # noqa: S108
        "a path of Windows": rf"..\..\{MARK}",
        "an encoded path": f"%2e%2e%2f%2e%2e%2f{MARK}",
        "twice encoded": f"%252e%252e%252f{MARK}",
        "a command": f"{MARK}; touch {canary}",
        "a substitution": f"{MARK}$(touch {canary})",
        "backticks": f"{MARK}`touch {canary}`",
        "a pipe": f"{MARK}|touch {canary}",
        "two lines": f"{MARK}\ntouch {canary}",
        "an option": f"--results-dir=/tmp/{MARK}",
        "a short option": f"-rf{MARK}",
        "a variable": f"${{IFS}}{MARK}",
        "a header": f"{MARK}\r\nX-Evil: 1\r\n\r\n",
        "a NUL": f"{MARK}\0.onnx",
        "an escape": f"{MARK}\x1b[2J\x1b]0;\x07",
        "a C1 escape": f"{MARK}\x9b31m",
        "a turned text": f"{MARK}\u202egnp.exe",
        "a line separator": f"{MARK}\u2028x",
        "a long one": MARK * 1_500,
        "a device": f"CON.{MARK}",
        "a ligature": f"{MARK}ﬁ/ａ\u0301",
        "an emoji": f"{MARK}\U0001f4a3",
        "a prototype": f"__proto__.{MARK}",
        "SQL": f"{MARK}'; DROP TABLE jobs; --",
        "a template": f"{MARK}{{{{7*7}}}}{{0}}%s%n",
        "HTML": f"<script>{MARK}</script>",
        "a formula": f"=cmd|'/c {MARK}'!A1",
        "YAML": f"!!python/object/apply:os.system [touch {canary}]",
        "an address": f"{url}/{MARK}",
        "a repository": f"git+{url}/{MARK}.git@main",
        "a file's address": f"file:///tmp/{MARK}",
        "a query": f"{MARK}?versionId=1&response-content-type=text/html",
        "a wildcard": f"*.{MARK}.#",
        "XML": f"<!DOCTYPE a SYSTEM '{url}/{MARK}'>",
    }


def some(of: dict[str, str], number: int, count: int) -> list[str]:
    """So many of the texts, others for each number: what is too much for all in all places is shared out."""
    its = [*of.values()]
    return [its[(number * count + n) % len(its)] for n in range(min(count, len(its)))]


def places(schema: Any) -> list[Path_]:
    """Each place of a schema (as pydantic's `model_json_schema` gives it) that takes a text, however deep."""
    return [*dict.fromkeys(_places(schema, schema, ()))]


def planted(schema: Any, base: Any, place: Path_, text: str) -> Any:
    """A copy of `base` with the text in that place; what is missing on the way there is made, as little as is valid."""
    return _planted(schema, schema, base, place, text)


def _places(root: Any, node: Any, at: Path_) -> Iterator[Path_]:
    for option in _options(root, node):
        kind = option.get("type")
        if kind == "string" or "const" in option or "enum" in option or not option:
            yield at
        elif kind == "array":
            yield from _places(root, option.get("items", {}), (*at, 0))
        elif kind == "object":
            for name, its in option.get("properties", {}).items():
                yield from _places(root, its, (*at, name))
            if more := option.get("additionalProperties"):
                yield (*at, NAME)
                yield from _places(root, {} if more is True else more, (*at, VALUE))


def _planted(root: Any, node: Any, base: Any, place: Path_, text: str) -> Any:
    if not place:
        return text
    head, rest = place[0], place[1:]
    option = next(it for it in _options(root, node) if _leads_to(it, head))
    if head == 0:
        return [_planted(root, option.get("items", {}), base[0] if base else None, rest, text)]
    made = dict(base) if isinstance(base, dict) else _least(root, option)
    if head in (NAME, VALUE):
        more = option["additionalProperties"]
        its = {} if more is True else more
        return made | ({text: _least(root, its)} if head == NAME else {"one": _planted(root, its, None, rest, text)})
    return made | {head: _planted(root, option["properties"][head], made.get(str(head)), rest, text)}


def _leads_to(option: Any, head: str | int) -> bool:
    if head == 0:
        return bool(option.get("type") == "array")
    return head in option.get("properties", {}) or (head in (NAME, VALUE) and "additionalProperties" in option)


def _options(root: Any, node: Any) -> list[Any]:
    """What a value there may be, references followed."""
    if "$ref" in node:
        return _options(root, root["$defs"][node["$ref"].rpartition("/")[2]])
    found = [its for key in ("anyOf", "oneOf", "allOf") for its in node.get(key, [])]
    return [its for one in found for its in _options(root, one)] if found else [node]


def _least(root: Any, node: Any) -> Any:
    """The least value that is valid there, as far as a schema tells."""
    option = _options(root, node)[0]
    if "enum" in option:
        return option["enum"][0]
    kind = option.get("type")
    if kind == "object":
        needed, its = option.get("required", []), option.get("properties", {})
        return {name: _least(root, its[name]) for name in needed}
    if kind == "array":
        return [_least(root, option["items"])] * option.get("minItems", 0)
    return {"string": "a", "boolean": False}.get(kind, option.get("minimum", 1))
