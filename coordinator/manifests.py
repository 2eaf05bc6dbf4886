"""What an uploaded build says of itself: its manifest, and its behaviours' trainer configurations. All is doubted."""

from collections.abc import Callable
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wire.codec import NotAMessage, decode, encode
from wire.trainers import DEFAULT_KIND

from .environments import TRAINERS
from .errors import RejectedBuild

MANIFEST = "manifest.json"
MAX_BYTES = 256 * 1024
"""Of a manifest and of each configuration; all of them together may have four times as many."""
MAX_BEHAVIOURS = 64

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
Path = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[^\x00-\x1f\x7f\\]+$")]
Module = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class Range(_Part):
    """Smallest and largest, both included."""

    min: Count
    max: Count

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, more than max, which is {self.max}")
        return self


class Allowed(_Part):
    """What a job may choose for a hyperparameter: a range with one end or two, or some values."""

    min: float | int | None = None
    max: float | int | None = None
    values: Annotated[list[Any], Field(min_length=1, max_length=1_000)] | None = None


class Actions(_Part):
    """As ML-Agents counts them: so many continuous ones, and of each discrete one so many choices."""

    continuous: Annotated[int, Field(ge=0, le=10_000)] = 0
    discrete: Annotated[list[Count], Field(max_length=1_000)] = []


class Behaviour(_Part):
    """One behaviour that can be trained."""

    config: Path | None = None
    configuration: dict[str, Any] | None = None
    steps: Range
    observation_shapes: Annotated[list[list[Count]], Field(max_length=1_000)] | None = None
    actions: Actions | None = None
    hyperparameters: dict[str, Allowed] | None = None


class Manifest(_Part):
    """Fields that are not known here are kept as they are."""

    env_id: Name | None = None
    version: Name | None = None
    name: Text | None = None
    description: Text | None = None
    kind: str = DEFAULT_KIND
    executable: Path | None = None
    arguments: Annotated[list[Text], Field(max_length=100)] = []
    gym_id: Name | None = None
    module: Module | None = None
    behaviours: Annotated[dict[Name, Behaviour], Field(min_length=1, max_length=MAX_BEHAVIOURS)]
    areas: Range
    num_envs: Range | None = None


def read(raw: bytes) -> dict[str, Any]:
    """A manifest.json as an object. Raises RejectedBuild."""
    if len(raw) > MAX_BYTES:
        raise RejectedBuild(f"Its {MANIFEST} has more than {MAX_BYTES // 1024} kB.")
    try:
        return decode(raw)
    except NotAMessage as error:
        raise RejectedBuild(f"Its {MANIFEST} can't be read. {error}") from error


def check(manifest: dict[str, Any], env_id: str, version: str) -> Manifest:
    """Whether its fields are there and sane, and it is this environment's. Raises RejectedBuild."""
    try:
        checked = Manifest.model_validate(manifest)
    except ValidationError as error:
        raise RejectedBuild(f"Its manifest is not right. {_sentence(error)}") from None
    for what, said, asked in (("env_id", checked.env_id, env_id), ("version", checked.version, version)):
        if said is not None and said != asked:
            raise RejectedBuild(f"Its manifest has the {what} {said!r}, but it was uploaded as {asked!r}.")
    if checked.kind not in TRAINERS:
        raise RejectedBuild(
            f"Its manifest has the kind {checked.kind[:100]!r}; there is {', '.join(sorted(TRAINERS))}."
        )
    _check_start(checked)
    return checked


def _check_start(checked: Manifest) -> None:
    """Whether it says what is to be started."""
    if checked.kind == "unity" and checked.executable is None:
        raise RejectedBuild("Its manifest names no executable.")
    if checked.kind == "gymnasium" and checked.gym_id is None:
        raise RejectedBuild('Its manifest names no "gym_id", which an environment of the kind "gymnasium" needs.')


def configured(manifest: dict[str, Any], checked: Manifest, find: Callable[[str], bytes | None]) -> dict[str, Any]:
    """The manifest with every behaviour's configuration in it; `find` gives a file's content. Raises RejectedBuild."""
    behaviours = {name: manifest["behaviours"][name] | {"configuration": _configuration(name, its, checked.kind, find)}
                  for name, its in checked.behaviours.items()}  # fmt: skip
    return storable(manifest | {"behaviours": behaviours})


def storable(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest, if it is JSON that the database takes and nodes can be sent. Raises RejectedBuild."""
    try:
        text = encode(manifest)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        raise RejectedBuild("Its manifest or a configuration has something that JSON does not know, such as a date, "
                            "NaN or half a character.") from None  # fmt: skip
    if len(text) > 4 * MAX_BYTES or "\\u0000" in text:
        raise RejectedBuild(f"Its manifest and configurations together may have {4 * MAX_BYTES // 1024} kB, and no NUL "
                            "in them.")  # fmt: skip
    return dict(decode(text))


def _configuration(name: str, its: Behaviour, kind: str, find: Callable[[str], bytes | None]) -> dict[str, Any]:
    found = its.configuration
    if found is None:
        file = its.config or f"{name}.yaml"
        raw = find(file)
        if raw is None:
            raise RejectedBuild(f"The trainer configuration of behaviour {name!r}, {file!r}, is not in the archive.")
        found = parse_yaml(raw, file)
    entry = (found.get("behaviors") or {}) if kind == "unity" else {name: found}
    if not isinstance(entry, dict) or not isinstance(entry.get(name), dict):
        raise RejectedBuild(f"The trainer configuration of behaviour {name!r} has no {name!r} under 'behaviors'.")
    return found


class _PlainLoader(yaml.SafeLoader):
    """A SafeLoader without aliases: nine lines of them can mean a billion values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name); write the values out")
        return super().compose_node(parent, index)


def parse_yaml(raw: bytes, file: str) -> dict[str, Any]:
    """A YAML file as a mapping. Raises RejectedBuild."""
    if len(raw) > MAX_BYTES:
        raise RejectedBuild(f"The trainer configuration {file!r} has more than {MAX_BYTES // 1024} kB.")
    try:
        found = yaml.load(raw.decode(), Loader=_PlainLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        what = " ".join(str(error).split())[:300] or type(error).__name__
        raise RejectedBuild(f"The trainer configuration {file!r} is not plain YAML: {what}.") from None
    if not isinstance(found, dict):
        raise RejectedBuild(f"The trainer configuration {file!r} is no mapping of names to values.")
    return found


def _sentence(error: ValidationError) -> str:
    """The first few findings, each with the field's name."""
    found = error.errors(include_url=False, include_input=False)[:3]
    return " ".join(f"{'.'.join(str(part) for part in it['loc'])[:200]}: {str(it['msg']).rstrip('.')}." for it in found)
