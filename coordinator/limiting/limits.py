"""How much a user and a team may have: the usual limits, and whose are others. 0 is none.

Both hold for everything that is asked for: those of the user, whatever team he is in, and those of the team.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from .. import audit
from ..audit import Audited
from ..connections import Executes
from ..errors import BadRequest
from ..extensions import db
from ..models import Limit, Team, User
from ..permissions import Caller
from .limit_kinds import KINDS, USUAL_TEAM, USUAL_USER, read

KNOWN_SECONDS = 2.0
"""So long, what somebody was granted is not looked up again."""
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Granted:
    """The limits of a user and of the team that he speaks in."""

    user: Mapping[str, int]
    team: Mapping[str, int]


class Limits:
    """The usual limits, with the operator's changes, and what was looked up a moment ago."""

    def __init__(self, of_users: str = "", of_teams: str = "") -> None:
        self.users = USUAL_USER | read("LIMITS_OF_USERS", of_users)
        self.teams = USUAL_TEAM | read("LIMITS_OF_TEAMS", of_teams)
        self._known: dict[tuple[UUID, UUID], tuple[float, Granted]] = {}

    def of(self, who: Caller) -> Granted:
        """The caller's, as they were at most two seconds ago."""
        key, now = (who.user_id, who.team_id), time.monotonic()
        known = self._known.get(key)
        if known and now < known[0]:
            return known[1]
        granted = Granted(self.users | _set(user_id=who.user_id), self.teams | _set(team_id=who.team_id))
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[key] = (now + KNOWN_SECONDS, granted)
        return granted

    def of_user(self, user_id: UUID) -> dict[str, int]:
        return self.users | _set(user_id=user_id)

    def of_team(self, team_id: UUID) -> dict[str, int]:
        return self.teams | _set(team_id=team_id)

    def bounds(
        self, reader: Executes, name: str, users: set[UUID], teams: set[UUID]
    ) -> tuple[dict[UUID, int], dict[UUID, int]]:
        """One limit of each of these users and teams that has one."""
        wanted = select(*Limit.__table__.c).where(
            Limit.name == name, or_(Limit.user_id.in_(users), Limit.team_id.in_(teams))
        )
        rows = reader.execute(wanted).all()
        of_users = dict.fromkeys(users, self.users[name]) | {row.user_id: row.value for row in rows if row.user_id}
        of_teams = dict.fromkeys(teams, self.teams[name]) | {row.team_id: row.value for row in rows if row.team_id}
        return _without_zeros(of_users), _without_zeros(of_teams)

    def put(self, name: str, value: int | None, subject: User | Team) -> None:
        """Somebody's limit from now on; None: the usual one. Other processes hear of it within two seconds.

        Raises BadRequest for a limit that there is not.
        """
        if name not in KINDS:
            raise BadRequest(f"There is no limit {name!r}. There are: {', '.join(KINDS)}.")
        is_user = isinstance(subject, User)
        whose = Limit.user_id if is_user else Limit.team_id
        if value is None:
            db.session.execute(delete(Limit).where(Limit.name == name, whose == subject.id))
        else:
            row = insert(Limit).values({"name": name, "value": value, whose.key: subject.id})
            changed = row.on_conflict_do_update(index_elements=[whose.key, "name"], set_={"value": value})
            db.session.execute(changed)
        audit.note(Audited.LIMIT_SET, f"{subject.name} {name}", None if is_user else subject.id, value=value)
        db.session.commit()
        self._known.clear()


def _set(*, user_id: UUID | None = None, team_id: UUID | None = None) -> dict[str, int]:
    """What the operator has set for one user or one team."""
    wanted = select(Limit.name, Limit.value).where(Limit.user_id == user_id if user_id else Limit.team_id == team_id)
    with db.engine.connect() as connection:  # given back at once: what follows may want a connection of its own
        return {row.name: row.value for row in connection.execute(wanted) if row.name in KINDS}


def _without_zeros(bounds: dict[UUID, int]) -> dict[UUID, int]:
    return {whose: value for whose, value in bounds.items() if value}
