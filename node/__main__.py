"""`python -m node check` and `resend`: whether a machine can train; and to store what a training could not store."""

import argparse
import os
import sys

from . import check, resend

ABOUT = """Commands for the owner of a training machine. The node itself is a Celery worker: see README.md."""
CHECK = """Tells within a minute whether this machine can train, and what is missing: a line for each thing, with
a tick, or with a cross and what to do about it, or with a dash for what need not be.

Takes the same settings as the node (see env.sample), from the same environment variables. At least:
  BROKER_URL         RabbitMQ, as amqp://user:password@host:port/vhost
  COORDINATOR_URL    the coordinator's web address
  NODE_TOKEN         printed on the coordinator's machine by `flask --app wsgi nodes enroll <name>`
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
    checker = commands.add_parser("check", help="whether this machine can train, and what is missing",
                                  description=CHECK, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    checker.add_argument("--no-training", action="store_true", help="leave out the short training at the end")
    sender = commands.add_parser("resend", help="upload what trainings could not store",
                                 description=RESEND, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    sender.add_argument("run_ids", nargs="*", metavar="RUN_ID", help="of the runs that are meant; all when not said")
    sender.add_argument("--list", action="store_true", help="only show what is kept")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "resend":
            return resend.run(sys.stdout, chosen.run_ids, chosen.list)
        return check.run(sys.stdout, with_training=not chosen.no_training)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
