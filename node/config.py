"""Every setting of a training node: its variable, its default, its meaning. The only reader of the environment here."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from wire.names import BRIDGE_PATH
from wire.variables import read_settings, setting


class BadConfiguration(Exception):
    """A variable is missing or wrong; the text names it and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per environment variable, in upper case there. `NAME_FILE` names a file that holds the value."""

    broker_url: str = setting("", "RabbitMQ, as amqp://user:password@host:port/vhost")
    coordinator_url: str = setting("http://127.0.0.1:8080", "the coordinator's web address")
    node_token: str = setting("", "this node's token, printed by `flask --app wsgi nodes enroll <name>`")
    node_name: str = setting(socket.gethostname(), "this node's name; two nodes never share one")
    node_slots: int = setting(1, "trainings at the same time")
    node_data_dir: str = setting(".data/node", "folder for the trainings' files")
    node_builds_max_mb: int = setting(20_480, "room for builds of the environment store, in MB")
    environments_dir: str = setting("environments", "folder of the environment builds")
    trainer_python: str = setting(sys.executable, "the Python that has ML-Agents")
    trainer_device: str = setting("cpu", "where PyTorch computes: cpu, cuda or cuda:0")
    trainer_threads: int = setting(1, "threads of PyTorch; the same number gives the same training again")
    bridge_address: str = setting(
        "127.0.0.1:8000", "where environments connect to be told their job; old builds know no other"
    )
    bridge_max_message_mb: float = setting(8.0, "largest message of an environment, in MB")
    connect_seconds: int = setting(60, "how long an environment may take to connect to its trainer")
    grace_seconds: float = setting(30.0, "how long a trainer that is told to stop may take to save")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadConfiguration, naming every variable that is wrong or missing."""
        values, wrong = read_settings(cls, environment, "broker_url", "node_token")
        if wrong:
            raise BadConfiguration(f"This node can't start. {'; '.join(wrong)}. See env.sample.")
        return cls(**values)

    @property
    def bridge_listen(self) -> tuple[str, int]:
        """The bridge's host and port. Raises BadConfiguration."""
        host, _, port = self.bridge_address.rpartition(":")
        if not host or not port.isdecimal() or int(port) not in range(1, 65536):
            raise BadConfiguration(f"BRIDGE_ADDRESS must be an address and a port, not {self.bridge_address!r}.")
        return host, int(port)

    @property
    def environ(self) -> Mapping[str, str]:
        """This process's environment, and where the bridge is; trainers get what is harmless of it."""
        return {**os.environ, "TRAIN_BRIDGE_URL": f"ws://{self.bridge_address}{BRIDGE_PATH}"}

    @property
    def attempts_dir(self) -> Path:
        """One folder per attempt that has not been handed in."""
        return Path(self.node_data_dir).resolve() / "attempts"

    @property
    def builds_dir(self) -> Path:
        """The builds of the environment store that this node has fetched."""
        return Path(self.node_data_dir).resolve() / "builds"
