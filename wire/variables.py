"""Settings from environment variables, read the same way by every program; the two `config.py` say which there are.

A setting is a field of a dataclass; its variable is the field's name in upper case. `NAME_FILE` may name a file that
holds the value. An empty variable counts as not set.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def setting(
    default: Any, meaning: str, *, begins: tuple[str, ...] = (), words: tuple[str, ...] = (), form: str = "",
    zero: bool = False,
) -> Any:  # fmt: skip
    """A dataclass field. The default's type is the setting's; a text may have to begin with, or be, one of some, or to
    match a pattern. A number is above 0, or with `zero` also 0."""
    its = {"meaning": meaning, "begins": begins, "words": words, "form": form, "zero": zero}
    return field(default=default, metadata=its)


def read_settings(cls: type, environment: Mapping[str, str], *needed: str) -> tuple[dict[str, Any], list[str]]:
    """The values by field, and what is wrong or missing, a line each that names the variable."""
    values: dict[str, Any] = {}
    wrong = []
    for spec in fields(cls):
        name = spec.name.upper()
        try:
            raw = _read(environment, name)
            values[spec.name] = spec.default if raw is None else convert(raw, type(spec.default), spec.metadata)
        except (ValueError, OSError) as error:
            wrong.append(f"{name}: {error}")
        else:
            if spec.name in needed and not values[spec.name]:
                wrong.append(f"{name} is not set ({spec.metadata['meaning']})")
    return values, wrong


def _read(environment: Mapping[str, str], name: str) -> str | None:
    if path := environment.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(name) or None


def convert(raw: str, kind: Any, its: Mapping[str, Any] | None = None) -> Any:
    """A variable's text as a value. Raises ValueError with what would be right, without what may be a secret."""
    if kind is str:
        return _text(raw, its) if its else raw
    if kind is bool:
        if raw.lower() not in SWITCH:
            raise ValueError(f"must be 1 or 0, not {raw!r}")
        return SWITCH[raw.lower()]
    try:
        value = kind(raw)
    except ValueError:
        raise ValueError(f"must be a number, not {raw!r}") from None
    may_be_zero = bool(its and its["zero"])
    if not (0 < value < math.inf or (may_be_zero and value == 0)):
        raise ValueError(f"must be a number {'from 0 up' if may_be_zero else 'above 0'}, not {raw!r}")
    return value


def _text(raw: str, its: Mapping[str, Any]) -> str:
    begins, words, form = its["begins"], its["words"], its["form"]
    if form and not re.fullmatch(form, raw):
        raise ValueError(f"must be {its['meaning']}, not {raw!r}")
    if begins and not raw.startswith(begins):
        raise ValueError(f"must begin with {begins[0]}")
    if begins and not _is_address(raw):
        raise ValueError("is no address; of a password, write / ? # @ : [ ] % as %2F %3F %23 %40 %3A %5B %5D %25")
    if words and raw.upper() not in words:
        raise ValueError(f"must be {', '.join(words[:-1])} or {words[-1]}, not {raw!r}")
    return raw.upper() if words else raw


def _is_address(raw: str) -> bool:
    """Found out here: whoever else finds it out says the address, and with it a password."""
    try:
        return urlsplit(raw).port != 0
    except ValueError:
        return False
