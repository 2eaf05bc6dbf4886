"""JSON as it travels: compact, finite numbers only, an object at the top."""

import json
import math
from collections.abc import Mapping
from typing import Any


class NotAMessage(ValueError):
    """The bytes are not a JSON object of finite numbers."""


def encode(message: Mapping[str, Any]) -> str:
    """Compact JSON. Raises ValueError for NaN and infinities: games' parsers stop at them."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def decode(raw: str | bytes) -> dict[str, Any]:
    """A JSON object out of text or UTF-8 bytes. Raises NotAMessage with a sentence otherwise."""
    try:
        message = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise NotAMessage("The message is nested too deeply.") from None
    except ValueError as error:
        raise NotAMessage(f"The message is not valid JSON: {error}.") from None
    if not isinstance(message, dict):
        raise NotAMessage(f"The message must be a JSON object, not {type(message).__name__}.")
    return message


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number JSON knows")
