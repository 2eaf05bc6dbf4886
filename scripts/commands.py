"""Several commands of the coordinator's in one process, as `flask --app wsgi` takes each: a start costs a second.

    python -m scripts.commands "db upgrade" "tokens create ann"

Prints a JSON list of what each has printed. Ends with 1 at the first that fails, and says why.
"""

import json
import shlex
import sys

from wsgi import app


def run(command: str) -> str:
    """What it has printed."""
    done = app.test_cli_runner().invoke(args=shlex.split(command))
    if done.exit_code != 0:
        sys.exit(f"`flask --app wsgi {command}` failed:\n{done.output}{done.exception or ''}")
    return done.stdout.strip()


if __name__ == "__main__":
    print(json.dumps([run(command) for command in sys.argv[1:]]))
