"""The coordinator's commands, under `flask --app wsgi`."""

import signal
from collections.abc import Callable

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from . import broker, tokens
from . import nodes as training_nodes
from .errors import CoordinatorError
from .parts import parts
from .pipeline import steps
from .probe import Probe
from .recorder import Recorder, run_beside
from .relay import Relay
from .sweeper import Sweeper

users = AppGroup("tokens", help="Tokens of users.")
nodes = AppGroup("nodes", help="Training nodes.")


def register(app: Flask) -> None:
    """Adds the commands to the app."""
    for command in (users, nodes, recorder, storage):
        app.cli.add_command(command)


@users.command("create")
@click.argument("user")
def create_token(user: str) -> None:
    """Print a new token of USER. It is shown this once; only its hash is stored."""
    click.echo(tokens.create_for_user(user))


@nodes.command("enroll")
@click.argument("name")
def enroll_node(name: str) -> None:
    """Print a new token of the training node NAME: the NODE_TOKEN of that machine."""
    click.echo(tokens.create_for_node(name))


@nodes.command("drain")
@click.argument("name")
@click.option("--hand-over", "how", flag_value="hand-over", default=True, help="Save, for other nodes to go on. Usual.")
@click.option("--finish", "how", flag_value="finish", help="Train to the end.")
def drain_node(name: str, how: str) -> None:
    """Let the training node NAME take nothing new, end its trainings, and then itself."""
    _told(lambda: training_nodes.drain(name, how))


@nodes.command("release")
@click.argument("name")
def release_node(name: str) -> None:
    """Give the training node NAME work again, which it was kept from until it passes its self-check."""
    _told(lambda: training_nodes.release(name))


def _told(command: Callable[[], None]) -> None:
    try:
        command()
    except CoordinatorError as error:
        raise click.ClickException(str(error)) from error


@click.command("create-bucket")
@with_appcontext
def storage() -> None:
    """Create the bucket S3_BUCKET where it is missing."""
    parts(current_app).storage.ensure_bucket()


@click.command("recorder")
@with_appcontext
def recorder() -> None:
    """Record what training nodes report, send what waits in the outbox, and look after what is stuck."""
    app, its = current_app._get_current_object(), parts(current_app)  # type: ignore[attr-defined]
    celery = broker.make_celery(its.config.broker_url, "recorder")
    steps.connect(its.storage, its.publisher, its.config)
    consumer = Recorder(app, celery)
    sweeper = Sweeper(app, celery, its.storage, its.config.lease_seconds, its.config.sweep_seconds, Probe(celery))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(consumer, "should_stop", True))
    run_beside(consumer, Relay(app, celery).run, *sweeper.loops())
