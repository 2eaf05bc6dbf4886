"""Checks of what a node reaches over the network: the coordinator, S3 by its links, RabbitMQ."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import requests
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed

from wire.broker_check import ENROLL, NODE, troubles
from wire.names import VERSION

from .central import Away, Central, NotLetIn, Refused
from .check import FAILED, NOTE, PASSED, Check, Finding
from .config import Config
from .connection import connection

SECONDS = 5
PROBE_BYTES = 256 * 1024
MOST_SKEW_SECONDS = 60.0
"""S3's links are good for a quarter of an hour; logs of two machines should be comparable as well."""


def coordinator(config: Config) -> Iterator[Finding]:
    """The coordinator, and S3 by a link of its."""
    if not config.node_token:
        yield Finding(FAILED, "The coordinator was not asked: there is no NODE_TOKEN.")
        return
    began = time.time()
    try:
        answer = Central.of(config).check()
    except (NotLetIn, Refused) as error:
        yield Finding(FAILED, str(error),
                      "`flask --app wsgi nodes enroll <name>` there makes this node's token anew.")  # fmt: skip
        return
    except Away as error:
        yield Finding(FAILED, f"{config.coordinator_url}: {error}.", "Check COORDINATOR_URL, and firewalls between.")
        return
    yield Finding(PASSED, f"The coordinator at {config.coordinator_url} answers and knows this node.")
    if answer.get("version") != VERSION:
        yield Finding(NOTE, f"The coordinator's version is {answer.get('version')}, this node's is {VERSION}.")
    yield _clock(str(answer["time"]), (began + time.time()) / 2)
    yield _storage(str(answer["put"]), str(answer["get"]))


def _clock(theirs: str, ours: float) -> Finding:
    skew = datetime.fromtimestamp(ours, UTC) - datetime.fromisoformat(theirs)
    seconds = abs(skew.total_seconds())
    if seconds > MOST_SKEW_SECONDS:
        return Finding(FAILED, f"This machine's clock is {seconds:.0f} s off the coordinator's.", "Set it by NTP.")
    return Finding(PASSED, f"The clocks differ by {seconds:.1f} s.")


def _storage(put: str, get: str) -> Finding:
    """The links' address is the coordinator's setting."""
    content, began = os.urandom(PROBE_BYTES), time.monotonic()
    where = put.partition("//")[2].partition("/")[0]
    advice = "On the coordinator's machine, S3_PUBLIC_ENDPOINT_URL must be S3's address as this machine reaches it."
    try:
        answer = requests.put(put, data=content, timeout=SECONDS)
        if answer.status_code == 200:
            answer = requests.get(get, timeout=SECONDS)
    except requests.RequestException as error:
        return Finding(FAILED, f"S3 at {where} cannot be reached: {type(error).__name__}.", advice)
    if answer.status_code != 200 or answer.content != content:
        return Finding(FAILED, f"S3 at {where} answers {answer.status_code} to the coordinator's link.", advice)
    return Finding(PASSED, f"S3 at {where} takes files and gives them back ({time.monotonic() - began:.1f} s).")


def rabbitmq(config: Config) -> Iterator[Finding]:
    """RabbitMQ, with this node's login and queues."""
    if not config.broker_url:
        yield Finding(FAILED, "RabbitMQ was not asked: there is no BROKER_URL.")
        return
    its = connection(config, connect_timeout=SECONDS, heartbeat=0)
    where = f"RabbitMQ at {its.hostname}"
    try:
        its.connect()
        found = list(troubles(its, NODE))
        yield from (Finding(FAILED, trouble.what, trouble.advice) for trouble in found)
        if not found:
            yield Finding(PASSED, f"{where} takes this node's login and its largest messages, and has its queues.")
    except (AccessRefused, NotAllowed) as error:
        yield Finding(FAILED, f"{where} refuses this node: {_said(error)}.", ENROLL)
    except (OSError, AMQPError) as error:
        yield Finding(FAILED, f"{where} does not answer: {_said(error)}.", "Check BROKER_URL, and firewalls between.")
    finally:
        its.collect()


def _said(error: Exception) -> str:
    said = getattr(error, "reply_text", "") or getattr(error, "strerror", "") or error or type(error).__name__
    return str(said).partition(". For details")[0].rstrip(".")


CHECKS: tuple[Check, ...] = (coordinator, rabbitmq)
