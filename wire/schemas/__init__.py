"""Which options a trainer knows, as JSON Schema written by the trainer's own Python; one file a trainer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@cache
def schema_of(trainer: str) -> dict[str, Any]:
    """What `<trainer>.json` says. Raises FileNotFoundError for a trainer without one."""
    document: dict[str, Any] = json.loads((FOLDER / f"{trainer}.json").read_text(encoding="utf-8"))
    return document
