"""What a data folder keeps so that a second start is the same as the first: passwords and ports."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from services.errors import ServiceError


class Kept:
    """A JSON file, readable by its owner only; values are made once, when first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, str] = self._read()

    def get(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(16)) -> str:
        """The kept value; made, and on disk before it is used, when there is none."""
        if name not in self.values:
            self.put(name, make())
        return self.values[name]

    def put(self, name: str, value: str) -> None:
        """Keep another value."""
        self.values[name] = value
        draft = self.path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.values, file, indent=1)
        draft.replace(self.path)

    def _read(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        try:
            values: dict[str, str] = json.loads(self.path.read_text())
        except ValueError as error:
            raise ServiceError(
                f"{self.path} is damaged ({error}). `make clean-data` starts with empty data."
            ) from error
        return values
