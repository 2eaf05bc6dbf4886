"""All backing services of one data folder, started together: those that the environment does not bring already."""

import fcntl
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from services.errors import ServiceError
from services.kept import Kept
from services.ports import free_ports, require_free
from services.postgres import Postgres
from services.rabbitmq import RabbitMQ, RabbitPorts
from services.s3 import S3

PORTS = {
    "POSTGRES_PORT": "PostgreSQL",
    "RABBITMQ_PORT": "RabbitMQ",
    "RABBITMQ_MANAGEMENT_PORT": "RabbitMQ's management page",
    "RABBITMQ_DIST_PORT": "RabbitMQ's distribution",
    "RABBITMQ_EPMD_PORT": "RabbitMQ's name server (epmd)",
    "S3_PORT": "S3",
}
S3_DEFAULTS = {"S3_BUCKET": "train-jobs", "S3_REGION": "us-east-1"}
Service = Postgres | RabbitMQ | S3


class Stack:
    """PostgreSQL, RabbitMQ and S3 with their data, passwords and ports in `data_dir`.

    `ports` (names as in PORTS) are used as given; others are chosen free once and kept. A service for which `environ`
    has a URL (DATABASE_URL, BROKER_URL, S3_ENDPOINT_URL) is somebody else's: it is passed on in `env`, not started.
    """

    def __init__(
        self, data_dir: Path | str, ports: Mapping[str, int] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.environ = dict(os.environ if environ is None else environ)
        self.kept = Kept(self.data_dir / "services.json")
        self.ports = self._choose_ports(ports or {})
        self.postgres = None if "DATABASE_URL" in self.environ else self._postgres()
        self.rabbitmq = None if "BROKER_URL" in self.environ else self._rabbitmq()
        self.s3 = None if "S3_ENDPOINT_URL" in self.environ else self._s3()
        self.services: list[Service] = [made for made in (self.postgres, self.rabbitmq, self.s3) if made]
        self.nodes: dict[tuple[str, str], dict[str, str]] = {}
        """What nodes were told that platforms over these services have enrolled, by database and name."""
        self._lock: IO[str] | None = None

    @property
    def env(self) -> dict[str, str]:
        """The variables by which the platform's processes find the services."""
        names = ("DATABASE_URL", "BROKER_URL", "BROKER_API", "FLOWER_BROKER_API", "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID",
                 "S3_SECRET_ACCESS_KEY")  # fmt: skip
        env = {name: self.environ[name] for name in names if name in self.environ} | self._s3_settings()
        if self.postgres:
            env["DATABASE_URL"] = self.postgres.url
        if self.rabbitmq:
            api = self.rabbitmq.management_api
            env |= {"BROKER_URL": self.rabbitmq.url, "BROKER_API": api, "FLOWER_BROKER_API": api}
        if self.s3:
            env |= {"S3_ENDPOINT_URL": self.s3.url, "S3_ACCESS_KEY_ID": self.s3.key}
            env |= {"S3_SECRET_ACCESS_KEY": self.s3.secret}
        return env

    def start(self) -> None:
        """Start all at once and wait until each is ready; when one cannot, the others are stopped again."""
        self._take_lock()
        try:
            for service in self.services:
                self._prepare(service)
            with ThreadPoolExecutor(len(self.services) or 1) as pool:
                started = [pool.submit(service.start) for service in self.services]
            for outcome in started:
                outcome.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all and wait; what does not end is killed."""
        self._end(lambda service: service.stop())

    def kill(self) -> None:
        """SIGKILL for all: for tests, which need not wait for the data to be put away."""
        self._end(lambda service: service.kill())

    def _end(self, end: Callable[[Service], None]) -> None:
        with ThreadPoolExecutor(len(self.services) or 1) as pool:
            for ended in [pool.submit(end, service) for service in self.services]:
                ended.result()
        if self._lock:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """One runner a data folder; the lock goes with the process, so a killed one leaves none."""
        lock = (self.data_dir / "services.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise ServiceError(
                f"The services of {self.data_dir} already run (process {holder}). End that run first, or use another "
                "data folder."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _prepare(self, service: Service) -> None:
        """Clear what a killed run left, so that a port still taken is taken by a stranger."""
        service.process.clear_leftover()
        if isinstance(service, RabbitMQ):
            service.epmd.clear_leftover()
        for variable, port in service.ports.items():
            require_free(port, PORTS[variable], variable)

    def _choose_ports(self, wanted: Mapping[str, int]) -> dict[str, int]:
        chosen: dict[str, int] = {}
        for name in PORTS:
            known = self.kept.values.get(name)
            fresh = wanted.get(name) or (int(known) if known else free_ports(1, set(chosen.values()))[0])
            self.kept.put(name, str(fresh))
            chosen[name] = fresh
        return chosen

    def _s3_settings(self) -> dict[str, str]:
        return {name: self.environ.get(name, default) for name, default in S3_DEFAULTS.items()}

    def _postgres(self) -> Postgres:
        log = self.data_dir / "logs" / "postgres.log"
        password = self.kept.get("postgres_password")
        return Postgres(self.data_dir / "postgres", self.data_dir / "run", log, self.ports["POSTGRES_PORT"], password)

    def _rabbitmq(self) -> RabbitMQ:
        ports = RabbitPorts(
            self.ports["RABBITMQ_PORT"],
            self.ports["RABBITMQ_MANAGEMENT_PORT"],
            self.ports["RABBITMQ_DIST_PORT"],
            self.ports["RABBITMQ_EPMD_PORT"],
        )
        log = self.data_dir / "logs" / "rabbitmq.log"
        password = self.kept.get("rabbitmq_password")
        return RabbitMQ(self.data_dir / "rabbitmq", self.data_dir / "run", log, ports, password)

    def _s3(self) -> S3:
        key, secret = self.kept.get("s3_access_key_id"), self.kept.get("s3_secret_access_key")
        log = self.data_dir / "logs" / "s3.log"
        bucket = self._s3_settings()["S3_BUCKET"]
        return S3(self.data_dir / "s3", self.data_dir / "run", log, self.ports["S3_PORT"], key, secret, bucket)
