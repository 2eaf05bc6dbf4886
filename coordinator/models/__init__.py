"""The tables, and the constraints that make retries safe. Times are UTC."""

from .audit import AuditEntry
from .builds import Build, BuildCheck
from .files import Artifact, DroppedObject, Episode
from .jobs import Attempt, Event, Job, LogPiece, Metric
from .limits import Limit, Turn
from .messages import IdempotencyKey, Outbox, Pulse, RejectedCount, RejectedMessage
from .nodes import Node
from .people import Member, Team, Ticket, Token, User

__all__ = [
    "Artifact",
    "Attempt",
    "AuditEntry",
    "Build",
    "BuildCheck",
    "DroppedObject",
    "Episode",
    "Event",
    "IdempotencyKey",
    "Job",
    "Limit",
    "LogPiece",
    "Member",
    "Metric",
    "Node",
    "Outbox",
    "Pulse",
    "RejectedCount",
    "RejectedMessage",
    "Team",
    "Ticket",
    "Token",
    "Turn",
    "User",
]
