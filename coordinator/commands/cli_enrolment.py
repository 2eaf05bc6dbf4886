"""The commands by which a machine becomes a training node, and is none any more."""

import logging
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from wire.enrolment import encode, write

from .. import broker, enrolment
from ..parts import parts

log = logging.getLogger(__name__)


@click.command("enroll")
@click.argument("name")
@click.option("--to", default=None, type=click.Path(path_type=Path), help="For a node on this machine: its settings go "
              "into this file, for NODE_SETTINGS, and no line is printed.")  # fmt: skip
@with_appcontext
def enroll_node(name: str, to: Path | None) -> None:
    """Make the training node NAME: print the line to run on its machine, this once.

    It gets a token and a user at RabbitMQ. One that was enrolled before gets new ones, and the old are good for nothing
    any more.
    """
    its = parts(current_app).config
    made = enrolment.enroll(its, name)
    _tell(made.left_to_do)
    _declare()
    if to:
        write(to, made.settings)
    else:
        click.echo(f"python -m node enroll {encode(made.settings)}")


@click.command("revoke")
@click.argument("name")
@with_appcontext
def revoke_node(name: str) -> None:
    """The training node NAME is none any more: its token and its user at RabbitMQ end, and its trainings go on at once
    elsewhere."""
    its = parts(current_app)
    _tell(enrolment.revoke(its.config, its.publisher, name).left_to_do)


def _tell(lines: list[str]) -> None:
    """Beside what is printed, so that a script can go on with that."""
    for line in lines:
        click.echo(line, err=True)


def _declare() -> None:
    """So that the node finds all that it needs, even before the recorder has run for the first time."""
    config = parts(current_app).config
    try:
        with broker.connection(config.broker_url, config.broker_files, connect_timeout=4) as connection:
            broker.declare_all(connection.default_channel)
    except broker.AWAY as error:
        log.warning("RabbitMQ is away, and the node can't be tried yet: %s", error)
