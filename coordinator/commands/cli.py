"""The coordinator's commands, under `flask --app wsgi`."""

import signal
import time

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from wire.log_lines import one_line

from .. import audit, broker, broker_check, broker_words, rejections
from .. import nodes as training_nodes
from ..api import asyncapi, documents, openapi
from ..broker_logins import BrokerLogins
from ..dispatching.relay import Relay
from ..parts import parts
from ..pipeline import steps
from ..probe import Probe
from ..recorder import Recorder, run_beside
from ..sweeper import Sweeper
from .cli_accounts import of_teams, of_tokens, users
from .cli_audit import of_audit
from .cli_enrolment import enroll_node, revoke_node
from .cli_limits import limits
from .sentences import Command, Commands

nodes = Commands("nodes", help="Training nodes.")
rabbitmq = AppGroup("broker", help="RabbitMQ.")


nodes.add_command(enroll_node)
nodes.add_command(revoke_node)


def register(app: Flask) -> None:
    """Adds the commands to the app."""
    for command in (users, of_teams, of_tokens, of_audit, limits, nodes, recorder, show_flower, storage, rejected,
                    rabbitmq, rest_document, messages_document):  # fmt: skip
        app.cli.add_command(command)


@nodes.command("drain")
@click.argument("name")
@click.option("--hand-over", "how", flag_value="hand-over", default=True, help="Save, for other nodes to go on. Usual.")
@click.option("--finish", "how", flag_value="finish", help="Train to the end.")
def drain_node(name: str, how: str) -> None:
    """Let the training node NAME take nothing new, end its trainings, and then itself."""
    training_nodes.drain(name, how)


@nodes.command("release")
@click.argument("name")
def release_node(name: str) -> None:
    """Give the training node NAME work again, which it was kept from until it passes its self-check."""
    training_nodes.release(name)


@click.command("create-bucket", cls=Command)
@with_appcontext
def storage() -> None:
    """Create the bucket S3_BUCKET where it is missing."""
    parts(current_app).storage.ensure_bucket()


@rabbitmq.command("check")
@click.option("--wait", default=0, help="Wait so many seconds to see whether RabbitMQ waits as long.")
def check_broker(wait: int) -> None:
    """Look whether RabbitMQ allows all that is needed, and print a line about each thing that it does not.

    Its consumer_timeout shows only with --wait: RabbitMQ closes a channel within a minute after it is over.
    """
    found: list[str] = []
    its = parts(current_app).config
    connection = broker.make_celery(its.broker_url, "check", its.broker_files).connection_for_read(heartbeat=0)
    try:
        connection.connect()
        click.echo(f"✓ RabbitMQ {broker_check.version_of(connection)} at {connection.hostname} takes our login.")
        found += [f"{trouble.what} {trouble.advice}" for trouble in broker_check.look(connection)]
        over = time.monotonic() + wait
        if wait:
            broker_check.keep_canary(connection, lambda: time.monotonic() > over or len(found) > 0, found.append)
    except broker_words.KNOWN as error:
        found.append(broker_words.sentence(error))
    finally:
        connection.collect()
    for line in found:
        click.echo(f"✗ {line}")
    if found:
        raise SystemExit(1)
    click.echo("✓ Rights, queues and the size of messages are as they should be.")


@click.command("openapi")
@with_appcontext
def rest_document() -> None:
    """Print the document of the REST API, OpenAPI 3.1."""
    click.echo(documents.text_of(current_app, "openapi", openapi.document))


@click.command("asyncapi")
@with_appcontext
def messages_document() -> None:
    """Print the document of what comes over WebSockets and RabbitMQ, AsyncAPI 3."""
    click.echo(documents.text_of(current_app, "asyncapi", asyncapi.document))


@click.command("rejected", cls=Command)
@click.option("--limit", default=20, show_default=True, help="How many of the newest are shown.")
@with_appcontext
def rejected(limit: int) -> None:
    """Print how many messages nobody could use, from where they came, and the newest with their reasons."""
    counts = rejections.counts()
    for one in counts:
        click.echo(f"{one.source}: {one.count}, the last at {one.last_at:%Y-%m-%d %H:%M:%S %Z}")
    for message in rejections.newest(limit):
        about = one_line(f"{message.created_at:%Y-%m-%d %H:%M:%S} {message.source}: {message.reason}")
        click.echo(f"\n{about}\n  {message.body[:200]!r}")
    if not counts:
        click.echo("No message was set aside.")


@click.command("recorder")
@with_appcontext
def recorder() -> None:
    """Record what training nodes report, send what waits in the outbox, and look after what is stuck."""
    app, its = current_app._get_current_object(), parts(current_app)  # type: ignore[attr-defined]
    app.config[audit.PROGRAM] = "recorder"
    celery = broker.make_celery(its.config.broker_url, "recorder", its.config.broker_files)
    steps.connect(its.storage, its.publisher, its.config)
    consumer = Recorder(app, celery)
    sweeper = Sweeper(app, celery, its.storage, its.config.lease_seconds, its.config.sweep_seconds, Probe(celery))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(consumer, "should_stop", True))
    run_beside(consumer, Relay(app, celery).run, *sweeper.loops(), broker_check.BrokerWatch(celery).run,
               BrokerLogins(app, its.config).run)  # fmt: skip


@click.command("flower", cls=Command)
@with_appcontext
def show_flower() -> None:
    """Show nodes and trainings on web pages, behind a login."""
    from .. import flower

    config = parts(current_app).config
    flower.serve(config)
