"""Whether somebody may have what he asks for: looked at before it is made, in the transaction that makes it.

What is counted is counted under a lock of the user or team as soon as it comes near its limit, so that fifty requests
at the same time have no more than one after the other.
"""

from functools import partial
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import func, select

from wire.names import DEFAULT_PRIORITY, MAX_PRIORITY

from ..connections import Executes
from ..errors import LimitReached, TooMany
from ..extensions import db
from ..parts import parts
from ..permissions import Caller, Role
from . import usage
from .limit_kinds import KINDS
from .limits import Granted
from .usage import MEGABYTE

NEAR = 2_000
"""So many jobs nobody submits within the second for which a count is known: so far from a limit it is good enough."""
QUEUE_SECONDS = 30
ASK = "Ask the operator for more (limit {!r})."


def granted(who: Caller) -> Granted:
    """The caller's limits, and those of his team."""
    return parts(current_app).limits.of(who)


def check_job(who: Caller, steps: int, num_envs: int, priority: int | None) -> int:
    """What one job asks for, and whether there is room for what it will store. The answer is its priority.

    Raises LimitReached.
    """
    for whose, subject, limits in _both(who):
        _check_size(whose, subject, limits, "steps", steps)
        _check_size(whose, subject, limits, "num_envs", num_envs)
    check_storage(who)
    return _granted_priority(who, priority)


def check_queue(transaction: Executes, who: Caller, steps: int) -> None:
    """Within the transaction that queues a job: one more that waits. Raises TooMany and LimitReached."""
    for whose, subject, limits in _both(who):
        most, of_a_day = limits["jobs_queued"], limits["steps_per_day"]
        if most:
            used = _counted(transaction, whose, _id(who, whose), "jobs_queued", most)
            if used >= most:
                raise TooMany(
                    f"{subject} has {used} jobs that wait for a node, and may have {most}. Wait until some of them "
                    f"have started, or cancel some. {ASK.format('jobs_queued')}", QUEUE_SECONDS)  # fmt: skip
        if of_a_day:
            used = _counted(transaction, whose, _id(who, whose), "steps_per_day", 0)
            if used + steps > of_a_day:
                raise LimitReached(
                    f"{subject} has asked for {used} steps within 24 hours, and may ask for {of_a_day}; this job asks "
                    f"for {steps}. Submit it tomorrow, or with less steps. {ASK.format('steps_per_day')}")  # fmt: skip


def check_storage(who: Caller) -> None:
    """Room for what a job will leave. What is stored was counted at most some seconds ago. Raises LimitReached."""
    for whose, subject, limits in _both(who):
        if most := limits["storage_mb"]:
            used = parts(current_app).meters.stored.get((whose, _id(who, whose)), partial(_stored, who, whose))
            _refuse_storage(subject, used, 1, most)


def check_build(transaction: Executes, who: Caller, size: int, is_new: bool) -> None:
    """Within the transaction that makes a version; `is_new`: its name is. Raises LimitReached."""
    for whose, subject, limits in _both(who):
        if any(limits[name] for name in ("storage_mb", "versions", "environments")):
            _lock(transaction, whose, _id(who, whose))
            used = usage.of(transaction, whose, _id(who, whose))
            _refuse_storage(subject, used["storage_mb"] * MEGABYTE, size, limits["storage_mb"])
            for name in ("versions", *(("environments",) if is_new else ())):
                if 0 < limits[name] <= used[name]:
                    raise LimitReached(
                        f"{subject} has {used[name]} {KINDS[name].meaning}, and may have {limits[name]}. "
                        f"{ASK.format(name)}")  # fmt: skip


def highest_priority(who: Caller) -> int:
    """Of a job of the caller's."""
    if who.is_operator:
        return MAX_PRIORITY
    its, is_owner = granted(who), who.role is Role.OWNER and not who.is_personal
    names = ("priority", "owners_priority") if is_owner else ("priority",)
    return min(max(limits[name] or MAX_PRIORITY for name in names) for limits in (its.user, its.team))


def _granted_priority(who: Caller, priority: int | None) -> int:
    most = highest_priority(who)
    if priority and priority > most:
        raise LimitReached(f"Your jobs may have a priority of up to {most} here, not {priority}. Owners of a team and "
                           f"operators may have more; or ask the operator (limit 'priority').")  # fmt: skip
    return priority or min(most, DEFAULT_PRIORITY)


def _check_size(whose: str, subject: str, limits: Any, name: str, value: int) -> None:
    if 0 < limits[name] < value:
        raise LimitReached(f"{name}: {subject} may ask for up to {limits[name]} {KINDS[name].meaning}, not {value}. "
                           f"{ASK.format(name)}")  # fmt: skip


def _refuse_storage(subject: str, used: int, more: int, most: int) -> None:
    if most and used + more > most * MEGABYTE:
        asks = f"; this is {more // MEGABYTE} more" if more >= MEGABYTE else ""
        raise LimitReached(f"{subject} has {-(-used // MEGABYTE)} MB of files and builds stored, and may have "
                           f"{most}{asks}. Delete some jobs first. {ASK.format('storage_mb')}")  # fmt: skip


def _counted(transaction: Executes, whose: str, subject: UUID, name: str, most: int) -> int:
    """How much there is; where that is near the limit, of all who count at the same time one after the other."""
    count = partial(usage.count, transaction, usage.COUNTED[name], whose, subject)
    if most > NEAR:
        used = parts(current_app).meters.counted.get((whose, subject, name), count)
        if used + NEAR < most:
            return used
    _lock(transaction, whose, subject)
    return count()


def _lock(transaction: Executes, whose: str, subject: UUID) -> None:
    """Until the transaction ends."""
    transaction.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"limits of {whose} {subject}", 0))))


def _both(who: Caller) -> list[tuple[str, str, Any]]:
    its = granted(who)
    return [("user", f"User {who.name!r}", its.user), ("team", f"Team {who.team!r}", its.team)]


def _id(who: Caller, whose: str) -> UUID:
    return who.user_id if whose == "user" else who.team_id


def _stored(who: Caller, whose: str) -> int:
    with db.engine.connect() as connection:
        return usage.stored_bytes(connection, whose, _id(who, whose))
