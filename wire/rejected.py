"""Messages that nobody can use: what is told of them, and how a Celery worker knows them before it stumbles over them.

Celery loses such a message with a line in its log, or stops at it. Here it is looked at first, and handed on with the
reason when it is not one of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .facts import BadFact, as_object

MAX_BYTES = 4 * 1024 * 1024
"""Of a message of facts."""
MAX_TASK_BYTES = 8 * 1024 * 1024
"""Of a task: outcomes carry the manifests of all files."""
MAX_BODY_CHARACTERS = 10_000
MAX_REASON_CHARACTERS = 2_000
UNREADABLE = "x-unreadable"
"""Header of a message whose properties can't be read; its value says why. The other properties are left out."""
ENCODINGS = ("utf-8", "us-ascii", "binary", "")

Content = tuple[list[Any], dict[str, Any], dict[str, Any]]
"""What a Celery message carries: arguments, named arguments, tasks that are to follow."""


class Unusable(ValueError):
    """A message that is not one of ours. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that was set aside: where it came from, why nobody can use it, how it begins."""

    source: str
    reason: str
    body: str

    @classmethod
    def of(cls, source: str, reason: str, body: Any) -> Self:
        return cls(source, _text(reason, MAX_REASON_CHARACTERS), _text(body, MAX_BODY_CHARACTERS))

    def to_wire(self) -> dict[str, Any]:
        """Without its source: where it is read, that is known, and a node could say anything."""
        return {"reason": self.reason, "body": self.body}

    @classmethod
    def from_wire(cls, source: str, message: Any) -> Self:
        """Raises BadFact with a sentence for anything else."""
        reason, body = (as_object(message, "A rejected message").get(name) for name in ("reason", "body"))
        if not isinstance(reason, str) or not isinstance(body, str):
            raise BadFact("A rejected message must have a reason and a body as text.")
        return cls.of(source, reason, body)


def _text(content: Any, most: int) -> str:
    """So much of it as the database takes: without NUL and half characters."""
    if isinstance(content, bytes | bytearray | memoryview):
        content = bytes(content[: 4 * most]).decode("utf-8", "replace")
    return str(content).replace("\0", "")[:most].encode("utf-8", "replace").decode()


def task_of(message: Any, known: Mapping[str, Any]) -> tuple[str, Content]:
    """The task's name and what it is called with. Raises Unusable."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    if UNREADABLE in headers:
        raise Unusable(f"Its properties can't be read: {headers[UNREADABLE]}")
    name = headers.get("task")
    if name is None:
        raise Unusable("It is no task.")
    if not isinstance(name, str) or name not in known:
        raise Unusable(f"The task {str(name)[:80]!r} is not known here.")
    _check(headers)
    return name, _content(message)


def _check(headers: dict[str, Any]) -> None:
    if not isinstance(headers.get("id"), str):
        raise Unusable("A task must have an id.")
    for name in ("root_id", "parent_id", "eta", "expires", "shadow"):
        if not isinstance(headers.get(name), str | None):
            raise Unusable(f"The header {name} must be text, not {type(headers[name]).__name__}.")
    limits = headers.get("timelimit") or [None, None]
    if not isinstance(limits, list) or len(limits) != 2 or not all(isinstance(it, int | float | None) for it in limits):
        raise Unusable("The header timelimit must be a pair of numbers.")


def _content(message: Any) -> Content:
    if len(message.body) > MAX_TASK_BYTES:
        raise Unusable(f"The message has {len(message.body)} bytes; at most {MAX_TASK_BYTES} are taken.")
    try:
        body = message.decode()
    except Exception as error:  # whatever decoders have to say about bytes from anywhere
        raise Unusable(f"Its content can't be read: {error or type(error).__name__}") from None
    match body:
        case [list() as args, dict() as kwargs, dict() as embedded]:
            return args, kwargs, embedded
    raise Unusable("A task's content must be arguments, named arguments and embedded tasks.")


def readable(kind: type[Any]) -> type[Any]:
    """The AMQP library's class of messages, made so that properties which it can't read do not end the connection.

    The broker would deliver that message first on the next connection, too, and so for ever.
    """
    if hasattr(kind, "is_readable"):
        return kind  # made so before

    class Readable(kind):
        is_readable = True

        def _load_properties(self, class_id: int, buf: Any, offset: int) -> int:
            try:
                end: int = super()._load_properties(class_id, buf, offset)
            except Exception as error:  # bytes from anywhere
                self._leave_out(f"{type(error).__name__}: {error}")
                return offset
            if "compression" in (self.properties.get("application_headers") or {}):
                self._leave_out("Nobody compresses messages here.")  # a bomb, for all we know
            if str(self.properties.get("content_encoding", "")).lower() not in ENCODINGS:
                self._leave_out("Messages here are encoded in UTF-8.")
            return end

        def _leave_out(self, why: str) -> None:
            self.properties = {"application_headers": {UNREADABLE: why[:500]}}

    return Readable
