"""Who has sent a message, as RabbitMQ vouches for it: it refuses one that names another user than its connection's."""

from functools import cache
from typing import Any

PROPERTY = "user_id"


@cache
def signing(transport: type[Any]) -> type[Any]:
    """The AMQP library's transport, made so that each message that it publishes names the connection's user."""
    if hasattr(transport, "is_signing") or transport.driver_type != "amqp":
        return transport  # made so before, or one that knows no users

    connection: Any = transport.Connection
    channel: Any = connection.Channel

    class Channel(channel):
        def prepare_message(
            self, body: Any, priority: Any = None, content_type: Any = None, content_encoding: Any = None,
            headers: Any = None, properties: dict[str, Any] | None = None, **others: Any,
        ) -> Any:  # fmt: skip
            its = {**(properties or {}), PROPERTY: self.connection.client.userid}
            return super().prepare_message(body, priority, content_type, content_encoding, headers, its, **others)

    signed = type("Connection", (connection,), {"Channel": Channel})
    return type(f"Signing{transport.__name__}", (transport,), {"Connection": signed, "is_signing": True})


def sender_of(properties: Any) -> str | None:
    """The user that a message's properties name; None: nobody."""
    its = properties.get(PROPERTY) if isinstance(properties, dict) else None
    return its if isinstance(its, str) and its else None
