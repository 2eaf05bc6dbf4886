"""What goes wrong with a backing service, as a sentence for the person at the terminal."""

from pathlib import Path

TAIL_LINES = 20
TAIL_BYTES = 20_000


class ServiceError(Exception):
    """A service cannot be used; the message says why and, where possible, what to do."""


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented, or a remark that there is none."""
    if not path.exists():
        return f"  (no log at {path})"
    text = path.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
    kept = text.rstrip().splitlines()[-lines:]
    return "\n".join(f"  | {line}" for line in kept) or f"  (nothing in {path})"
