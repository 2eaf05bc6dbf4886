"""What RabbitMQ refuses, in sentences for whoever runs it: what is wrong, and what to do."""

import re
from ssl import SSLCertVerificationError

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, PreconditionFailed

KNOWN = (OSError, AMQPError)
TRUST = "BROKER_CA_FILE must have the certificates of whoever signs it."
ADVICE = "`flask --app wsgi broker check` says what RabbitMQ lacks."


def sentence(error: Exception) -> str:
    """One sentence, or two, about what ended a connection or a channel."""
    said = reply(error)
    if isinstance(error, SSLCertVerificationError):
        return f"RabbitMQ's certificate is not trusted: {error.verify_message}. {TRUST}"
    if isinstance(error, AccessRefused | NotAllowed):
        return f"RabbitMQ refuses: {said}. {ADVICE}"
    if isinstance(error, PreconditionFailed) and "acknowledgement" in said:
        return f"RabbitMQ has closed a channel because of its consumer_timeout: {said}. {consumer_timeout(said)}"
    if isinstance(error, PreconditionFailed):
        return f"RabbitMQ refuses: {said}. {ADVICE}"
    if isinstance(error, KNOWN):
        return f"RabbitMQ is away ({said})."
    return f"Something went wrong: {type(error).__name__}: {said}."


def reply(error: Exception) -> str:
    """What the broker said, without full stop."""
    said = getattr(error, "reply_text", "") or getattr(error, "strerror", "") or str(error) or type(error).__name__
    return str(said).partition(". For details")[0].rstrip(".")


def consumer_timeout(said: str) -> str:
    """How long it is, and how long it should be."""
    found = re.search(r"Timeout value used: (\d+) ms", said)
    its = f"It is {int(found[1]) / 1000:.0f} s. " if found else ""
    return f"{its}Set consumer_timeout = 864000000 (ten days, in milliseconds) in rabbitmq.conf, and restart it."
