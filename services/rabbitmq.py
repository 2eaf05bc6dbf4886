"""A private RabbitMQ node (3.10 or 4.x) with its own epmd, on 127.0.0.1 only.

Nothing of the machine's own RabbitMQ is read or touched: node name, ports, configuration, cookie, data and user are
all in one folder of ours.
"""

import os
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

from services.errors import ServiceError
from services.ports import HOST, answers
from services.process import Process
from services.rabbitmq_programs import find_programs

NAME = "train_jobs"
NODE = f"{NAME}@localhost"
READY_SECONDS = 120.0
EPMD_SECONDS = 10.0
CTL_SECONDS = 60.0
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"
# One scheduler leaves the other cores to the training. RabbitMQ forbids its schedulers to wait a moment before they
# sleep; where waking a thread is dear, as in virtual machines, that makes its start three times as long.
SCHEDULERS = "+S 1:1 +sbwt short +sbwtdio medium"
CONFIGURATION = """\
listeners.tcp.1 = {host}:{amqp}
management.tcp.ip = {host}
management.tcp.port = {management}
default_user = {name}
default_pass = {password}
default_vhost = {name}
consumer_timeout = 864000000
heartbeat = 60
max_message_size = 16777216
disk_free_limit.absolute = 1GB
log.console = true
log.console.level = info
log.file = false
"""


class RabbitPorts(NamedTuple):
    """Where a node listens."""

    amqp: int
    management: int
    distribution: int
    epmd: int


class RabbitMQ:
    """One node with one user and one vhost of the same name; there is no guest."""

    name = "RabbitMQ"

    def __init__(self, folder: Path, run: Path, log: Path, ports: RabbitPorts, password: str) -> None:
        self.folder = folder
        self.at = ports
        self.password = password
        self.process = Process(self.name, log, run / "rabbitmq.pid", grace=30.0)
        self.epmd = Process("epmd (RabbitMQ's name server)", log.with_name("epmd.log"), run / "epmd.pid", grace=2.0)
        self.url = f"amqp://{NAME}:{password}@{HOST}:{ports.amqp}/{NAME}"
        self.management_url = f"http://{HOST}:{ports.management}"
        self.management_api = f"http://{NAME}:{password}@{HOST}:{ports.management}/api/"
        self.ports = {
            "RABBITMQ_PORT": ports.amqp,
            "RABBITMQ_MANAGEMENT_PORT": ports.management,
            "RABBITMQ_DIST_PORT": ports.distribution,
            "RABBITMQ_EPMD_PORT": ports.epmd,
        }

    @property
    def running(self) -> bool:
        """Whether the node runs."""
        return self.process.running

    @property
    def version(self) -> str:
        """As in "4.0.5", whether the node runs or not."""
        return find_programs(self.folder).version

    def start(self) -> None:
        """Write the configuration, start epmd and the node, wait until clients and the management page are served."""
        server = find_programs(self.folder).command("rabbitmq-server")
        self.configure()
        self.start_epmd()
        self.process.start(server, self.environment(), self.folder)
        self.process.wait_ready(self.ready, READY_SECONDS)

    def start_epmd(self) -> None:
        """In the foreground and ours, so that Erlang starts no daemon that would stay behind."""
        if self.epmd.running:
            return
        self.process.clear_leftover()
        command = find_programs(self.folder).command("epmd", "-port", str(self.at.epmd), "-address", HOST)
        self.epmd.start(command, self.environment(), self.folder)
        self.epmd.wait_ready(lambda: answers(self.at.epmd), EPMD_SECONDS)

    def stop(self) -> None:
        """Ask the node to end and wait, then epmd."""
        self.process.stop()
        self.epmd.stop()

    def kill(self) -> None:
        """SIGKILL for the Erlang machine and all around it."""
        self.process.kill()
        self.epmd.kill()

    def restart(self) -> None:
        """Stop and start, same ports and data."""
        self.stop()
        self.start()

    def ready(self) -> bool:
        """Whether a client that says hello is greeted; the listener is the last thing a node starts."""
        try:
            with socket.create_connection((HOST, self.at.amqp), timeout=2) as client:
                client.sendall(PROTOCOL_HEADER)
                return client.recv(1) == b"\x01" and answers(self.at.management)
        except OSError:
            return False

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` says for this node; raises with its complaint."""
        if not self.epmd.running:  # it would start one in the background, which stays behind
            raise ServiceError(f"rabbitmqctl {' '.join(arguments)}: RabbitMQ does not run.")
        command = find_programs(self.folder).command("rabbitmqctl", "-q", *arguments)
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=CTL_SECONDS, check=False
        )
        if done.returncode:
            raise ServiceError(f"rabbitmqctl {' '.join(arguments)} failed: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    def configure(self) -> None:
        """The files the node reads; the password in them makes them ours alone."""
        for folder in (self.folder, self.folder / "conf.d", self.folder / "mnesia"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = CONFIGURATION.format(
            host=HOST, name=NAME, password=self.password, amqp=self.at.amqp, management=self.at.management
        )
        for name, content in {
            "rabbitmq.conf": text,
            "enabled_plugins": "[rabbitmq_management].\n",
            "rabbitmq-env.conf": "",
            ".erlang.cookie": self.password,
        }.items():
            write_private(self.folder / name, content)

    def environment(self) -> dict[str, str]:
        """Ours with every place and port of the node named, so that no default of the machine is used."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RABBITMQ_", "ERL_", "NOTIFY_"))}
        return kept | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.at.epmd),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(self.at.distribution),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(self.folder / "schema"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "rabbitmq.pid"),
            # The server's script otherwise stays as a shell around the Erlang machine and waits for it.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_START_ARGS": "-noinput +B i",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{SCHEDULERS} {LOOPBACK_DISTRIBUTION}",
            "RABBITMQ_CTL_ERL_ARGS": f"+S 1:1 {LOOPBACK_DISTRIBUTION}",
        }


def write_private(path: Path, content: str) -> None:
    """Write for our eyes only; a cookie made read-only by Erlang is replaced."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
