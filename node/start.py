"""`python -m node run`: becomes the node's Celery worker, without anything in its environment that is no node's affair.

A machine that runs the coordinator, too, has the secrets of both; a node's process gets its own alone, so that nothing
that it runs can find the others.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import TextIO

from .bridge.keeper import PROJECT
from .config import BadConfiguration, Config

SECRET = re.compile(
    r"(^|_)(DATABASE|POSTGRES|PG|PGADMIN|S3|AWS|MINIO|RABBITMQ|FLOWER|BROKER|NEXTAUTH|JWT|OIDC|SMTP"
    r"|SECRETS?|PASSWORDS?|PASS|TOKENS?|CREDENTIALS?|KEYS?|AUTH|LOGIN)(_|$)|^PG[A-Z]+$", re.IGNORECASE,
)  # fmt: skip
"""Names of variables that tell what only others need to know, unless they are settings of a node."""


def run(out: TextIO, environment: Mapping[str, str] = os.environ) -> int:
    """Returns 1 where a setting is wrong; else this process is the worker from then on."""
    try:
        config = Config.from_environment(environment)
    except BadConfiguration as error:
        print(error, file=out)
        return 1
    else:
        out.flush()
        os.execve(sys.executable, worker(config), own(environment))  # noqa: S606


def worker(config: Config) -> list[str]:
    """The command."""
    return [
        sys.executable, "-m", "celery", "-A", "celery_app:node", "worker", "--queues", "train", "--pool", "prefork",
        "--concurrency", str(config.node_slots), "--hostname", f"{config.node_name}@%h", "--without-gossip",
        "--without-mingle", "--loglevel", "INFO",
    ]  # fmt: skip


def own(environment: Mapping[str, str]) -> dict[str, str]:
    """What of this environment a node gets."""
    settings = {spec.name.upper() for spec in fields(Config)}
    settings |= {f"{name}_FILE" for name in settings}
    if environment.get("NODE_SETTINGS"):  # there they stand; those of the environment may be the coordinator's
        settings -= {"BROKER_URL", "BROKER_URL_FILE", "NODE_TOKEN", "NODE_TOKEN_FILE"}
    kept = {name: value for name, value in environment.items() if name in settings or not SECRET.search(name)}
    path = os.pathsep.join(part for part in (str(PROJECT), kept.get("PYTHONPATH")) if part)
    return kept | {"PYTHONPATH": path}
