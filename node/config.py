"""Every setting of a training node: its variable, its default, its meaning. The only reader of the environment here."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self


class BadConfiguration(Exception):
    """A variable is missing or wrong; the text names it and says what would be right."""


def _setting(default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per environment variable, in upper case there. `NAME_FILE` names a file that holds the value."""

    broker_url: str = _setting("", "RabbitMQ, as amqp://user:password@host:port/vhost")
    coordinator_url: str = _setting("http://127.0.0.1:8080", "the coordinator's web address")
    node_token: str = _setting("", "this node's token, printed by `flask --app wsgi nodes enroll <name>`")
    node_name: str = _setting(socket.gethostname(), "this node's name; two nodes never share one")
    node_slots: int = _setting(1, "trainings at the same time")
    node_data_dir: str = _setting(".data/node", "folder for the trainings' files")
    environments_dir: str = _setting("environments", "folder of the environment builds")
    trainer_python: str = _setting(sys.executable, "the Python that has ML-Agents")
    trainer_device: str = _setting("cpu", "where PyTorch computes: cpu, cuda or cuda:0")
    trainer_threads: int = _setting(1, "threads of PyTorch; the same number gives the same training again")
    connect_seconds: int = _setting(60, "how long an environment may take to connect to its trainer")
    grace_seconds: float = _setting(30.0, "how long a trainer that is told to stop may take to save")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadConfiguration, naming every variable that is wrong or missing."""
        values: dict[str, Any] = {}
        wrong = []
        for spec in fields(cls):
            raw = _read(environment, spec.name.upper())
            kind: Any = type(spec.default)
            try:
                values[spec.name] = spec.default if raw is None else kind(raw)
            except ValueError:
                wrong.append(f"{spec.name.upper()} must be a number, not {raw!r}")
        wrong += [f"{name.upper()} is not set" for name in ("broker_url", "node_token") if not values.get(name)]
        if wrong:
            raise BadConfiguration("This node can't start. " + "; ".join(wrong) + ". See env.sample.")
        return cls(**values)

    @property
    def environ(self) -> Mapping[str, str]:
        """This process's environment; trainers get what is harmless of it."""
        return os.environ

    @property
    def attempts_dir(self) -> Path:
        """One folder per attempt that has not been handed in."""
        return Path(self.node_data_dir).resolve() / "attempts"


def _read(environment: Mapping[str, str], name: str) -> str | None:
    if path := environment.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get(name) or None
