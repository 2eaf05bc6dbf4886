"""How commands end that can't do what they are asked: with a sentence, as the API does, and never with a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup

from ..connections import AWAY
from ..errors import CoordinatorError


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except CoordinatorError as error:
        raise click.ClickException(error.detail) from error
    except AWAY as error:
        raise click.ClickException(f"PostgreSQL is away: {str(error).splitlines()[0]}") from error


class Commands(AppGroup):
    """A group of them."""

    def invoke(self, ctx: click.Context) -> object:
        with _in_a_sentence():
            return super().invoke(ctx)


class Command(click.Command):
    """One that is of no group."""

    def invoke(self, ctx: click.Context) -> object:
        with _in_a_sentence():
            return super().invoke(ctx)
