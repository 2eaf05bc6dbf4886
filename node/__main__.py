"""`python -m node enroll`, `run`, `check` and `resend`: to make a machine a training node, to be one, to see whether it
can train, and to store what a training could not store."""

import argparse
import os
import sys
from pathlib import Path

from . import check, enroll, resend, start

SETTINGS = "node.env"
ABOUT = f"""Commands for the owner of a training machine. Settings are taken from the environment (see env.sample), and
from the file that NODE_SETTINGS names: {SETTINGS} in this folder where there is one and nothing else is said."""
GIVEN = ("NODE_SETTINGS", "NODE_TOKEN", "NODE_TOKEN_FILE")
ENROLL = """Makes this machine a training node: takes the code that `flask --app wsgi nodes enroll <name>` printed on
the coordinator's machine, keeps what it says in a file that nobody else may read, and looks whether coordinator, S3 and
RabbitMQ can be reached with it. Exit code: 0 when they can, else 1."""
RUN = """Runs the node until it is told to end: Celery's worker, with NODE_SLOTS trainings at the same time."""
CHECK = """Tells within a minute whether this machine can train, and what is missing: a line for each thing, with
a tick, or with a cross and what to do about it, or with a dash for what need not be.

Takes the same settings as the node (see env.sample). At least what `enroll` has written, and
  TRAINER_PYTHON     the Python that has ML-Agents, where it is not this one

It may run beside a node that is at work: it takes no job, and leaves nothing behind.
Exit code: 0 when the machine can train, 1 when it cannot."""

RESEND = """Uploads the files of trainings that could not be stored, because S3 did not answer for long or got something
else. Once the coordinator has verified them, the job has succeeded, and they are removed here.

Takes the node's settings; needed are COORDINATOR_URL, NODE_TOKEN and NODE_DATA_DIR. The node may run meanwhile, or not.
Exit code: 0 when everything was sent, 1 when something stays."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m node", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    enroller = commands.add_parser("enroll", help="make this machine a training node", description=ENROLL)
    enroller.add_argument("code", metavar="CODE", help="as printed on the coordinator's machine; - reads it from stdin")
    enroller.add_argument("--to", default=SETTINGS, metavar="FILE", help=f"where it is kept; usually {SETTINGS}")
    commands.add_parser("run", help="be the training node", description=RUN)
    checker = commands.add_parser("check", help="whether this machine can train, and what is missing",
                                  description=CHECK, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    checker.add_argument("--no-training", action="store_true", help="leave out the short training at the end")
    sender = commands.add_parser("resend", help="upload what trainings could not store",
                                 description=RESEND, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    sender.add_argument("run_ids", nargs="*", metavar="RUN_ID", help="of the runs that are meant; all when not said")
    sender.add_argument("--list", action="store_true", help="only show what is kept")
    chosen = parser.parse_args(arguments)
    if not any(os.environ.get(name) for name in GIVEN) and Path(SETTINGS).is_file():
        os.environ["NODE_SETTINGS"] = SETTINGS
    try:
        if chosen.command == "enroll":
            code = pasted() if chosen.code == "-" else chosen.code
            return enroll.run(sys.stdout, code.split()[-1] if code.split() else "", Path(chosen.to))
        if chosen.command == "run":
            return start.run(sys.stdout)
        if chosen.command == "resend":
            return resend.run(sys.stdout, chosen.run_ids, chosen.list)
        return check.run(sys.stdout, with_training=not chosen.no_training)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def pasted() -> str:
    """What stands in no list of processes, and in no shell's history."""
    if sys.stdin.isatty():
        print("Paste the line that `flask --app wsgi nodes enroll <name>` has printed:", flush=True)
    return sys.stdin.readline()


if __name__ == "__main__":
    sys.exit(main())
