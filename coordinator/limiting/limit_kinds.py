"""What is limited, and how much of it is usual; and how an operator writes other usual limits. Pure."""

import re
from dataclasses import dataclass

from ..errors import BadConfiguration


@dataclass(frozen=True, slots=True)
class Kind:
    """What is limited, and how much of it is usual."""

    name: str
    meaning: str
    user: int
    team: int


KINDS = {
    its.name: its
    for its in (
        Kind("jobs_active", "jobs that are being trained", 500, 2_000),
        Kind("jobs_queued", "jobs that wait for a node", 10_000, 50_000),
        Kind("steps", "steps of one job", 1_000_000_000, 1_000_000_000),
        Kind("steps_per_day", "steps asked for within 24 hours", 0, 0),
        Kind("num_envs", "environments at the same time in one job", 64, 64),
        Kind("priority", "highest priority of a job", 5, 10),
        Kind("owners_priority", "the same for owners of a team that is not one user's own", 8, 10),
        Kind("storage_mb", "MB of stored files and builds", 200_000, 1_000_000),
        Kind("environments", "names of environments", 100, 500),
        Kind("versions", "versions of environments", 1_000, 5_000),
        Kind("sockets", "WebSockets at the same time, in each web process", 500, 2_000),
        Kind("requests_at_once", "requests at the same time, in each web process; more wait a moment", 8, 16),
        Kind("requests_per_minute", "requests a minute, in each web process", 12_000, 60_000),
    )
}
USUAL_USER = {name: its.user for name, its in KINDS.items()}
USUAL_TEAM = {name: its.team for name, its in KINDS.items()}
FORM = r"[a-z_]+=\d+(\s*,\s*[a-z_]+=\d+)*"


def read(variable: str, text: str) -> dict[str, int]:
    """As in "jobs_queued=100, sockets=0". Raises BadConfiguration."""
    values = {}
    for word in re.split(r"\s*,\s*", text.strip()) if text.strip() else []:
        name, _, value = word.partition("=")
        if name not in KINDS:
            raise BadConfiguration(f"{variable}: there is no limit {name!r}. There are: {', '.join(KINDS)}.")
        values[name] = int(value)
    return values
