"""Every setting of the coordinator: its variable, its default, its meaning. The only reader of the environment here.

`env.sample` lists the same variables for people; a test holds the two together.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from .errors import BadConfiguration

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per environment variable, in upper case there. `NAME_FILE` names a file that holds the value."""

    database_url: str = _setting("", "PostgreSQL, as postgresql://user:password@host:port/name")
    broker_url: str = _setting("", "RabbitMQ, as amqp://user:password@host:port/vhost")
    s3_endpoint_url: str = _setting("", "S3 as the coordinator reaches it; empty for Amazon's own")
    s3_public_endpoint_url: str = _setting("", "S3 as training nodes reach it; empty for the same address")
    s3_access_key_id: str = _setting("", "S3 credentials")
    s3_secret_access_key: str = _setting("", "S3 credentials")
    s3_bucket: str = _setting("train-jobs", "the bucket that holds models and checkpoints")
    s3_region: str = _setting("us-east-1", "the bucket's region; any value will do for most S3 servers")
    web_bind: str = _setting("127.0.0.1:8080", "address and port of the REST API and the WebSocket")
    web_workers: int = _setting(2, "web processes; each serves many games")
    serve_games_without_token: bool = _setting(
        False, "1 lets old games, which send no token, watch a run and fetch its model by run_id alone"
    )
    environments_dir: str = _setting("environments", "folder of the environment builds that jobs may name")
    max_body_bytes: int = _setting(65_536, "largest body of a request, in bytes")
    max_attempts: int = _setting(3, "how often a job is started before a lost node makes it FAILED")
    lease_seconds: float = _setting(25.0, "a training whose node is silent for so long is started elsewhere")
    hello_seconds: float = _setting(10.0, "how long a WebSocket may wait before it says which run it wants")
    socket_write_seconds: float = _setting(10.0, "a WebSocket that takes no data for so long is cut off")
    socket_backlog: int = _setting(1_000, "messages kept in memory for one WebSocket before it reads from PostgreSQL")
    sweep_seconds: float = _setting(5.0, "how often the recorder looks for what is stuck")
    flower_port: int = _setting(5555, "port of Flower")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadConfiguration, naming every variable that is wrong or missing."""
        values: dict[str, Any] = {}
        wrong = []
        for spec in fields(cls):
            try:
                raw = read(environment, spec.name.upper())
                values[spec.name] = spec.default if raw is None else _value(spec.name, raw, type(spec.default))
            except (ValueError, OSError) as error:
                wrong.append(f"{spec.name.upper()}: {error}")
        wrong += [f"{name.upper()} is not set ({_meaning(cls, name)})"
                  for name in ("database_url", "broker_url") if not values.get(name)]  # fmt: skip
        if wrong:
            raise BadConfiguration("The configuration is not complete. " + "; ".join(wrong) + ". See env.sample.")
        return cls(**values)

    def sqlalchemy_url(self) -> str:
        """The database's address with the driver spelled out: a bare `postgresql://` would mean psycopg 3."""
        scheme, _, rest = self.database_url.partition("://")
        return self.database_url if "+" in scheme else f"postgresql+psycopg2://{rest}"


def read(environment: Mapping[str, str], name: str) -> str | None:
    """The variable, or the content of the file that `NAME_FILE` names; None when neither is set."""
    if path := environment.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(name) or None


def convert(raw: str, kind: type) -> Any:
    """A variable's text as a value. Raises ValueError with what would be right."""
    if kind is bool:
        if raw.lower() in ("1", "true", "yes", "on"):
            return True
        if raw.lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError(f"must be 1 or 0, not {raw!r}")
    try:
        value = kind(raw)
    except ValueError:
        raise ValueError(f"must be a number, not {raw!r}") from None
    if kind is not str and not 0 < value < math.inf:
        raise ValueError(f"must be a number above 0, not {raw!r}")
    return value


def _value(name: str, raw: str, kind: type) -> Any:
    if name == "database_url" and not raw.startswith(("postgresql://", "postgresql+psycopg2://", "postgres://")):
        raise ValueError("must begin with postgresql://")  # what it is instead may hold a password
    if name == "log_level" and raw.upper() not in LOG_LEVELS:
        raise ValueError(f"must be DEBUG, INFO, WARNING or ERROR, not {raw!r}")
    return convert(raw.upper() if name == "log_level" else raw, kind)


def _meaning(cls: type, name: str) -> str:
    return next(str(spec.metadata["meaning"]) for spec in fields(cls) if spec.name == name)
