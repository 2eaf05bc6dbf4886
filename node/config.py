"""Every setting of a training node: its variable, its default, its meaning. The only reader of the environment here."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from wire import enrolment, tls
from wire.jobs import DRAINS
from wire.names import BRIDGE_PATH
from wire.variables import read_settings, setting

_LABEL = r"[A-Za-z0-9][A-Za-z0-9._:/=-]{0,62}"
LABELS = rf"{_LABEL}( *, *{_LABEL}){{0,63}}"
DEVICES = r"cpu|cuda(:\d+)?( *, *cuda:\d+)*"


class BadConfiguration(Exception):
    """A variable is missing or wrong; the text names it and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per environment variable, in upper case there. `NAME_FILE` names a file that holds the value."""

    node_settings: str = setting("", "the file that `python -m node enroll` has written; what stands there counts")
    broker_url: str = setting(
        "", "RabbitMQ, as amqp://user:password@host:port/vhost; amqps:// with TLS", begins=("amqp://", "amqps://")
    )
    broker_ca_file: str = setting("", "certificates of those who sign RabbitMQ's, as PEM; empty: the system's")
    broker_cert_file: str = setting("", "our own certificate for RabbitMQ, as PEM, where it asks for one")
    broker_key_file: str = setting("", "the key of that certificate")
    coordinator_url: str = setting("http://127.0.0.1:8080", "the coordinator's web address",
                                   begins=("http://", "https://"))  # fmt: skip
    coordinator_ca_file: str = setting("", "certificates of those who sign the coordinator's, as PEM; empty: the usual")
    node_token: str = setting("", "this node's token, printed by `flask --app wsgi nodes enroll <name>`")
    node_name: str = setting(socket.gethostname(), "this node's name; two nodes never share one")
    node_slots: int = setting(1, "trainings at the same time")
    node_data_dir: str = setting(".data/node", "folder for the trainings' files")
    node_builds_max_mb: int = setting(20_480, "room for builds of the environment store, in MB")
    environments_dir: str = setting("environments", "folder of the environment builds")
    trainer_python: str = setting(sys.executable, "the Python that has the trainers")
    bridge_address: str = setting(
        "127.0.0.1:8000", "where environments connect to be told their job; old builds know no other"
    )
    bridge_max_message_mb: float = setting(8.0, "largest message of an environment, in MB")
    trainer_device: str = setting(
        "cpu", "cpu, cuda, cuda:0, or a list as cuda:0,cuda:1, of which the slots take one each in turn", form=DEVICES
    )
    trainer_threads: int = setting(
        0, "threads of each trainer; 0 is a slot's part of the cores, less one for the environment", zero=True
    )
    node_memory_mb: int = setting(
        0, "memory that one training may use, in MB; 0 divides the machine's among the slots", zero=True
    )
    node_min_free_mb: int = setting(2048, "free disk space in MB, below which no new training is taken", zero=True)
    node_labels: str = setting("", "words without spaces, divided by commas, that jobs may ask for", form=LABELS)
    log_limit_mb: int = setting(512, "a training whose logs together exceed so many MB is ended")
    stall_seconds: int = setting(900, "a training that makes no step for so long is ended, even while it computes")
    idle_seconds: float = setting(
        30.0, "the same while nothing computes; longer where longer pauses are usual: three times the longest of late"
    )
    connect_seconds: int = setting(60, "how long an environment may take to connect to its trainer")
    log_max_kb: int = setting(1_024, "kB of a training's log, and of its environment's, that are reported at most")
    upload_patience_seconds: int = setting(
        600, "how long the files of a training that has ended are uploaded without success before that is given up"
    )
    node_kept_max_mb: int = setting(
        10_240, "room for files of ended trainings that are not verified or could not be stored, in MB"
    )
    node_drain: str = setting(
        "hand-over", "finish or hand-over: what becomes of trainings when the node must stop", form="|".join(DRAINS)
    )
    grace_seconds: float = setting(30.0, "how long a trainer that is told to stop may take to save")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises BadConfiguration, naming every variable that is wrong or missing."""
        values, wrong = cls.read(environment, "broker_url", "node_token")
        if wrong:
            raise BadConfiguration(f"This node can't start. {'; '.join(wrong)}. See env.sample.")
        return cls(**values)

    @classmethod
    def read(cls, environment: Mapping[str, str], *needed: str) -> tuple[dict[str, Any], list[str]]:
        """The values by field, and what is wrong, a line each."""
        try:
            given, file = dict(environment), environment.get("NODE_SETTINGS")
            given |= enrolment.read(Path(file)) if file else {}
        except OSError as error:
            return {}, [f"NODE_SETTINGS: {error}"]
        values, wrong = read_settings(cls, given, *needed)
        return values, wrong or list(cls(**values)._wrong())

    def _wrong(self) -> Iterator[str]:
        yield from tls.wrong(self.broker_url, self.broker_files)
        if self.coordinator_ca_file and not Path(self.coordinator_ca_file).is_file():
            yield f"COORDINATOR_CA_FILE: there is no file {self.coordinator_ca_file}"
        if self.coordinator_ca_file and not self.coordinator_url.startswith("https://"):
            yield "COORDINATOR_CA_FILE is set, but COORDINATOR_URL does not begin with https://"

    @property
    def broker_files(self) -> tls.Files:
        """For TLS to RabbitMQ."""
        return tls.Files(self.broker_ca_file, self.broker_cert_file, self.broker_key_file)

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
    def devices(self) -> list[str]:
        """As PyTorch names them."""
        return [device.strip() for device in self.trainer_device.split(",")]

    @property
    def labels(self) -> list[str]:
        """What jobs may ask for of this node, each once, in order."""
        return sorted({label.strip() for label in self.node_labels.split(",") if label.strip()})

    @property
    def slots_dir(self) -> Path:
        """A lock for each slot."""
        return Path(self.node_data_dir).resolve() / "slots"

    @property
    def attempts_dir(self) -> Path:
        """One folder per attempt that has not been handed in."""
        return Path(self.node_data_dir).resolve() / "attempts"

    @property
    def handed_dir(self) -> Path:
        """One folder per attempt that was handed in, until its files are verified."""
        return Path(self.node_data_dir).resolve() / "handed"

    @property
    def kept_dir(self) -> Path:
        """One folder per attempt whose files could not be stored, until somebody sends them again."""
        return Path(self.node_data_dir).resolve() / "kept"

    @property
    def builds_dir(self) -> Path:
        """The builds of the environment store that this node has fetched."""
        return Path(self.node_data_dir).resolve() / "builds"
