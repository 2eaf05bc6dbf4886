"""The commands for limits of users and teams."""

import click
from flask import current_app

from ..accounts import teams
from ..accounts import users as people
from ..extensions import db
from ..limiting import usage
from ..limiting.limit_kinds import KINDS
from ..models import Team, User
from ..parts import parts
from .sentences import Commands

limits = Commands("limits", help="How much users and teams may have.")
NAMES = click.Choice(list(KINDS))
USER = click.option("--user", default=None, help="The user whose limit it is.")
TEAM = click.option("--team", default=None, help="The team whose limit it is.")


@limits.command("list")
@USER
@TEAM
def list_limits(user: str | None, team: str | None) -> None:
    """Show the limits of a user or a team, and what of them is used; without either, the usual ones."""
    its = parts(current_app).limits
    if user is None and team is None:
        for kind in KINDS.values():
            click.echo(f"{kind.name}: user {_shown(its.users[kind.name])}, team {_shown(its.teams[kind.name])}"
                       f" ({kind.meaning})")  # fmt: skip
        return
    subject = _subject(user, team)
    found = its.of_user(subject.id) if user else its.of_team(subject.id)
    used = usage.of(db.session, "user" if user else "team", subject.id)
    for name, value in found.items():
        click.echo(f"{name}: {_shown(value)}{f', {used[name]} used' if name in used else ''} ({KINDS[name].meaning})")


@limits.command("set")
@USER
@TEAM
@click.argument("name", type=NAMES)
@click.argument("value", type=click.IntRange(0))
def set_limit(user: str | None, team: str | None, name: str, value: int) -> None:
    """Let the limit NAME of a user or a team be VALUE; 0: no limit. It holds within two seconds."""
    parts(current_app).limits.put(name, value, _subject(user, team))


@limits.command("reset")
@USER
@TEAM
@click.argument("name", type=NAMES)
def reset_limit(user: str | None, team: str | None, name: str) -> None:
    """Let the limit NAME of a user or a team be the usual one again."""
    parts(current_app).limits.put(name, None, _subject(user, team))


def _subject(user: str | None, team: str | None) -> User | Team:
    if (user is None) == (team is None):
        raise click.UsageError("Name either a --user or a --team.")
    return people.named(user) if user else teams.named(team or "")


def _shown(value: int) -> str:
    return str(value or "no limit")
