"""What the machine must bring: the right Python with venv, room on the disk, and RabbitMQ."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NEEDED = (3, 11)
NEEDED_TEXT = "3.11"
NEEDED_BYTES = 3 * 10**9
APT = ("-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install")


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


def check_disk(folder: Path) -> None:
    """Raises when the environments would not fit."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"The disk of {folder} has {free / 1e9:.1f} GB left; the virtual environments and data need about "
            f"{NEEDED_BYTES / 1e9:.0f} GB. Make room, or put the project on another disk."
        )


def check_version() -> None:
    """Raises when this is not Python 3.11."""
    if sys.version_info[:2] != NEEDED:
        found = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python {NEEDED_TEXT} is needed (ML-Agents and torch are tried with it), and `python{NEEDED_TEXT}` was "
            f"not found; {sys.executable} is {found}. On Debian 12: apt-get install python{NEEDED_TEXT} "
            f"python{NEEDED_TEXT}-venv. Elsewhere, name one: make PYTHON=/path/to/python{NEEDED_TEXT}"
        )


def check_venv() -> None:
    """Raises when this Python has no venv (on Debian and Ubuntu a package of its own) and it can't be installed."""
    if has_venv():
        return
    package = f"python{NEEDED_TEXT}-venv"
    print(f"Installing {package} with apt-get: Debian's Python comes without it.", flush=True)
    if not apt_install(package) or not has_venv():
        raise SetupError(f"This Python lacks the modules venv and ensurepip. Type: sudo apt-get install {package}")


def has_venv() -> bool:
    """Whether this Python can make a virtual environment with pip in it."""
    test = [sys.executable, "-c", "import venv, ensurepip"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def apt_install(package: str) -> bool:
    """Install a package; a bare machine may have to fetch the package lists first."""
    if not shutil.which("apt-get"):
        return False
    install = ["apt-get", *APT, package]
    return run_as_root(install) or (run_as_root(["apt-get", "-q", "update"]) and run_as_root(install))


def install_rabbitmq(root: Path) -> None:
    """The system's package, where no rabbitmq-server is found; its own service is neither started nor enabled."""
    if find_rabbitmq():
        return
    print("Installing rabbitmq-server with apt-get (a minute at most; its own service stays off) ...", flush=True)
    began = time.monotonic()
    log = root / ".data" / "logs" / "setup-rabbitmq.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    script = str(root / "scripts" / "install-rabbitmq.sh")
    if shutil.which("apt-get") and run_as_root(["sh", script], log) and find_rabbitmq():
        print(f"  done in {time.monotonic() - began:.0f} s", flush=True)
        return
    said = log.read_text(errors="replace").strip().splitlines()[-15:] if log.exists() else []
    raise SetupError(
        "RabbitMQ is missing and could not be installed here"
        + (":\n" + "\n".join(f"  | {line}" for line in said) + "\n" if said else ".\n")
        + f"Type: sudo sh {script}\n"
        "or install RabbitMQ 3.10 or newer your way (set RABBITMQ_HOME when it is not on PATH),\n"
        "or set BROKER_URL to a broker of your own, as amqp://user:password@host:5672/vhost."
    )


def find_rabbitmq() -> bool:
    """Whether the services will find a rabbitmq-server."""
    from services.errors import ServiceError
    from services.rabbitmq_programs import find_programs

    try:
        return bool(find_programs(Path()))
    except ServiceError:
        return False


def run_as_root(command: list[str], log: Path | None = None) -> bool:
    """Run it as root: as we are, or by sudo where that asks for no password. False when it failed or we may not."""
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            return False
        command = ["sudo", "-n", *command]
    with (log or Path(os.devnull)).open("wb") as output:
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode == 0
