"""Set-up for `make`: virtual environments and RabbitMQ, each step skipped when it is up to date.

Runs before anything is installed, so: standard library only, and nothing that keeps an older Python from reading far
enough to say which one is needed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.machine import SetupError, check_disk, check_venv, check_version, install_rabbitmq  # noqa: E402
from scripts.venvs import COORDINATOR, NODE, Venv  # noqa: E402


def main() -> int:
    """Do the steps that are missing; 0, or 1 after a sentence that says what to do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without-node", action="store_true", help="leave out .venv-node (ML-Agents and torch)")
    parser.add_argument("--without-rabbitmq", action="store_true", help="leave out the system's rabbitmq-server")
    options = parser.parse_args()
    try:
        with only_one_at_a_time():
            set_up([COORDINATOR] if options.without_node else [COORDINATOR, NODE], not options.without_rabbitmq)
    except SetupError as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; the next one goes on from here.", file=sys.stderr)
        return 130
    return 0


def set_up(venvs: list[Venv], with_rabbitmq: bool) -> None:
    """RabbitMQ first: it may ask for what the person at the terminal has to do."""
    check_version()
    missing = [venv for venv in venvs if not venv.is_up_to_date()]
    if missing:
        check_disk(ROOT)
        check_venv()
    if with_rabbitmq and not os.environ.get("BROKER_URL"):
        install_rabbitmq(ROOT)
    for venv in missing:
        venv.install()


def only_one_at_a_time() -> IO[str]:
    """A lock that goes with the process: `make run` and `make test` may be started together."""
    (ROOT / ".data").mkdir(mode=0o700, exist_ok=True)
    lock = (ROOT / ".data" / "setup.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up is running; waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


if __name__ == "__main__":
    sys.exit(main())
