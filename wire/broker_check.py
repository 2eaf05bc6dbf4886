"""Whether RabbitMQ lets a program of ours do what it has to: rights, arguments of queues, size of messages.

Everything is tried on a channel of its own, since a refusal ends the channel, and nothing is taken from a queue.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from . import names

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406
NO_KEY = "nobody.listens"
ENROLL = "On the coordinator's machine, `flask --app wsgi nodes enroll <name>` gives it a login with its rights."


@dataclass(frozen=True, slots=True)
class Use:
    """What one program does with an exchange and a queue. A queue whose name ends with a dot is made by each process
    for itself, and is bound to the exchange with any key."""

    exchange: str
    type: str = "topic"
    queue: str = ""
    key: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    publishes: bool = False
    consumes: bool = False
    declares: bool = True
    """Else it has to be there already."""
    free_key: str = NO_KEY
    """With which it may write, and which leads to no queue."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What would break, and what to do."""

    what: str
    advice: str


TRAIN = Use(
    names.TRAIN_EXCHANGE, queue=names.TRAIN_QUEUE, key=names.TRAIN_QUEUE,
    arguments=names.train_queue_arguments(names.TRAIN_QUEUE),
)  # fmt: skip
OUTCOMES = Use(
    names.OUTCOME_EXCHANGE, queue=names.OUTCOME_QUEUE, key=names.OUTCOME_QUEUE, arguments=names.OUTCOME_QUEUE_ARGUMENTS
)
FACTS = Use(
    names.EVENT_EXCHANGE, queue=names.EVENT_QUEUE, key=names.EVENT_ROUTING_KEY, arguments=names.EVENT_QUEUE_ARGUMENTS
)
COORDINATOR = (
    replace(TRAIN, publishes=True),
    replace(OUTCOMES, publishes=True, consumes=True),
    replace(FACTS, consumes=True),
    Use(names.FANOUT_EXCHANGE, "fanout", "web.", publishes=True, consumes=True),
    Use(names.STATE_EXCHANGE, "topic", "states.", consumes=True),
)
NODE = (
    replace(TRAIN, consumes=True, declares=False),
    replace(OUTCOMES, publishes=True, declares=False, free_key=names.OUTCOME_CHECK_KEY),
    Use(names.EVENT_EXCHANGE, publishes=True, declares=False, free_key=names.EVENT_CHECK_KEY),
    Use(names.STATE_EXCHANGE, publishes=True, declares=False),
)


def troubles(connection: Any, uses: tuple[Use, ...]) -> Iterator[Trouble]:
    """All that RabbitMQ refuses. Raises what the connection raises when it breaks."""
    for use in uses:
        queue = f"{use.queue}check.{uuid4().hex}" if use.queue.endswith(".") else use.queue
        for right, thing, step in _steps(use, queue):
            refusal = _refusal(connection, step)
            said = getattr(refusal, "reply_text", "")
            if getattr(refusal, "reply_code", 0) == PRECONDITION_FAILED and "invalid arg" in said:
                continue  # as it should be: see _try_to_read
            if refusal is not None:
                yield _trouble(connection, use, right, thing, refusal)
                break  # what follows needs this
    yield from _message_size(connection, next(use for use in uses if use.publishes))


def _trouble(connection: Any, use: Use, right: str, thing: str, refusal: Exception) -> Trouble:
    code, said = getattr(refusal, "reply_code", 0), getattr(refusal, "reply_text", "")
    if code == ACCESS_REFUSED:
        allow = f"Allow it: rabbitmqctl set_permissions -p {connection.virtual_host} {connection.userid} '.*' '.*' '.*'"
        return Trouble(f"RabbitMQ's user {connection.userid} may not {right} {thing}.",
                       allow if use.declares else ENROLL)  # fmt: skip
    if code == NOT_FOUND:
        return Trouble(f"RabbitMQ has not the {thing}.", "The coordinator's program `recorder` makes it.")
    if code == PRECONDITION_FAILED and "inequivalent" in said:
        return _other_arguments(connection, thing, said)
    return Trouble(f"RabbitMQ does not let us {right} {thing}: {said or refusal}.", "See RabbitMQ's log.")


def _steps(use: Use, queue: str) -> Iterator[tuple[str, str, Callable[[Any], object]]]:
    exchange = f"exchange {use.exchange}"
    is_own = queue != use.queue
    passive, verb = not use.declares, "declare" if use.declares else "see"
    yield verb, exchange, lambda it: it.exchange_declare(
        use.exchange, use.type, durable=True, auto_delete=False, passive=passive
    )  # fmt: skip
    if queue:
        yield (
            verb,
            f"queue {queue}",
            lambda it: it.queue_declare(
                queue, passive, durable=not is_own, exclusive=is_own, auto_delete=is_own, arguments=use.arguments
            ),
        )
    if queue and not is_own and use.declares:
        yield "bind", f"queue {queue} to {exchange}", lambda it: it.queue_bind(queue, use.exchange, use.key)
    if is_own:
        yield "bind", f"a queue {queue} to {exchange}", lambda it: _bind_own(it, queue, use.exchange)
    if use.publishes:
        yield "write to", exchange, lambda it: _publish(it, use, b"{}")
    if use.consumes and not is_own:
        yield "read", f"queue {queue}", lambda it: _try_to_read(it, queue)


def _bind_own(channel: Any, queue: str, exchange: str) -> None:
    channel.queue_declare(queue, exclusive=True, auto_delete=True)
    channel.queue_bind(queue, exchange, NO_KEY)
    channel.basic_get(queue)
    channel.queue_delete(queue)


def _publish(channel: Any, use: Use, body: bytes) -> None:
    """Without a queue that takes it, and confirmed."""
    channel.confirm_select()
    channel.basic_publish_confirm(channel.prepare_message(body), exchange=use.exchange, routing_key=use.free_key)


def _try_to_read(channel: Any, queue: str) -> None:
    """In a way that RabbitMQ refuses even to who may read, but only after it has looked at the rights: nothing is
    taken from the queue."""
    channel.basic_consume(queue, arguments={"x-priority": "none"})


def _refusal(connection: Any, step: Callable[[Any], object]) -> Exception | None:
    channel = connection.channel()
    try:
        step(channel)
    except Exception as error:
        if not getattr(error, "reply_code", 0) or not connection.connected:
            raise
        return error
    channel.close()
    return None


def _other_arguments(connection: Any, thing: str, said: str) -> Trouble:
    kind, _, name = thing.partition(" ")
    remove = (
        f"rabbitmqctl -p {connection.virtual_host} delete_queue {name}" if kind == "queue" else "the management page"
    )
    return Trouble(
        f"The {thing} is there with other arguments than are needed ({said.partition(' - ')[2] or said}).",
        f"They can't be changed: with all programs stopped, delete it ({remove}) and start them again. Jobs that "
        "waited are sent again, what nodes had reported into it is lost.",
    )


def _message_size(connection: Any, use: Use) -> Iterator[Trouble]:
    refusal = _refusal(connection, lambda it: _publish(it, use, bytes(names.LARGEST_MESSAGE)))
    if refusal is not None and getattr(refusal, "reply_code", 0) == PRECONDITION_FAILED:
        said = getattr(refusal, "reply_text", "")
        yield Trouble(
            f"RabbitMQ refuses messages of {names.LARGEST_MESSAGE} bytes ({said.partition(' - ')[2] or said}).",
            "Set max_message_size = 16777216 in rabbitmq.conf, and restart it.",
        )
