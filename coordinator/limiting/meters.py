"""What one process counts for itself of those who ask: it costs microseconds, and ends with the process."""

from dataclasses import dataclass, field

from .at_once import AtOnce
from .pace import Held, Pace
from .recent import Recent

STORED_SECONDS, COUNTED_SECONDS = 5.0, 1.0


@dataclass(frozen=True, slots=True)
class Meters:
    """Of one app."""

    requests: Pace = field(default_factory=Pace)
    at_once: AtOnce = field(default_factory=AtOnce)
    wrong_tokens: Pace = field(default_factory=lambda: Pace(burst_seconds=60))
    sockets: Held = field(default_factory=Held)
    stored: Recent[int] = field(default_factory=lambda: Recent(STORED_SECONDS))
    """Bytes, by ("user" or "team", id)."""
    counted: Recent[int] = field(default_factory=lambda: Recent(COUNTED_SECONDS))
    """What is far from its limit, by ("user" or "team", id, limit)."""
