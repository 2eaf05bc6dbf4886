"""What a node is told when it is enrolled: as one word that can be pasted, and as the file in which it is kept."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path

VARIABLES = ("COORDINATOR_URL", "NODE_NAME", "NODE_TOKEN", "BROKER_URL")
NAME = r"[A-Za-z0-9][A-Za-z0-9._+()-]{0,62}"
NO_CODE = "This is no code of an enrolment. Copy the whole line that `flask --app wsgi nodes enroll <name>` printed."


def encode(settings: Mapping[str, str]) -> str:
    """One word of letters, digits, - and _."""
    its = json.dumps({name: settings[name] for name in VARIABLES}, separators=(",", ":"))
    return base64.urlsafe_b64encode(its.encode()).decode().rstrip("=")


def decode(code: str) -> dict[str, str]:
    """Raises ValueError with a sentence."""
    try:
        its = json.loads(base64.urlsafe_b64decode(code + "=" * (-len(code) % 4)))
        found = {name: its[name] for name in VARIABLES}
    except (ValueError, KeyError, TypeError):
        raise ValueError(NO_CODE) from None
    if not all(isinstance(value, str) and re.fullmatch(r"[!-~]+", value) for value in found.values()):
        raise ValueError(NO_CODE)
    return found


def write(path: Path, settings: Mapping[str, str]) -> None:
    """As NAME=value lines, for the eyes of its owner alone; complete at any moment."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text("".join(f"{name}={settings[name]}\n" for name in VARIABLES))
    new.replace(path)


def read(path: Path) -> dict[str, str]:
    """Of such a file, in which other settings may stand, too. Raises OSError."""
    lines = [line.strip().partition("=") for line in path.read_text(encoding="utf-8").splitlines()]
    return {name.strip(): value.strip() for name, mark, value in lines if mark and not name.startswith("#")}
