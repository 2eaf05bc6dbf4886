"""`make services`: the backing services alone, in the foreground, with the variables by which to use them."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from services.errors import ServiceError
from services.stack import PORTS, Stack

DATA_DIR = Path(__file__).resolve().parent.parent / ".data"


def main() -> int:
    """Start, say where, wait for Ctrl-C or SIGTERM, stop."""
    parser = argparse.ArgumentParser(prog="make services", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder of all data (default: .data)")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        with Stack(options.data, ports_given()) as stack:
            for name, value in stack.env.items():
                print(f"export {name}='{value}'")
            print("# running; Ctrl-C ends them", flush=True)
            ended.wait()
    except ServiceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def ports_given() -> dict[str, int]:
    """The ports that the environment asks for."""
    given = {name: os.environ[name] for name in PORTS if os.environ.get(name)}
    for name, value in given.items():
        if not value.isdigit() or not 0 < int(value) < 65536:
            raise ServiceError(f"{name} must be a port number, not {value!r}.")
    return {name: int(value) for name, value in given.items()}


if __name__ == "__main__":
    sys.exit(main())
