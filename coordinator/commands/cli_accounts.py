"""The commands for people: users, teams, tokens. Whoever can run them is trusted with everything."""

from uuid import UUID

import click

from wire.log_lines import one_line

from ..accounts import credentials, installation, teams, tokens
from ..accounts import users as people
from ..models import User
from ..permissions import Role, Scope
from .sentences import Commands


def echo(line: str) -> None:
    """What users have called something plays no tricks on a terminal."""
    click.echo(one_line(line))


ROLES = click.Choice([str(role) for role in Role if role is not Role.OPERATOR])
SCOPES = click.Choice([str(scope) for scope in Scope])
users = Commands("users", help="Users, who own jobs.")
of_teams = Commands("teams", help="Teams, whose members share jobs and environments.")
of_tokens = Commands("tokens", help="Tokens of users, and a list of all.")


@users.command("create")
@click.argument("name")
@click.option("--operator/--no-operator", default=None, help="Whether this user runs the installation.")
def create_user(name: str, operator: bool | None) -> None:
    """Make the user NAME with a team of the same name; or change whether that user is an operator."""
    user = people.made(name)
    _show(installation.change(user, is_operator=operator))


@users.command("disable")
@click.argument("name")
def disable_user(name: str) -> None:
    """Nothing that NAME sends is good any more: his tokens, and those of his issuer. His jobs and teams stay."""
    _show(installation.change(people.named(name), is_disabled=True))


@users.command("enable")
@click.argument("name")
def enable_user(name: str) -> None:
    """Take back that NAME is disabled."""
    _show(installation.change(people.named(name), is_disabled=False))


@users.command("list")
def list_users() -> None:
    """Show all users."""
    for listed in people.everybody():
        _show(listed.row)


def _show(user: User) -> None:
    words = {" operator": user.is_operator, " disabled": user.disabled_at, f" of {user.issuer}": user.issuer}
    echo(f"{user.name} {user.id}{''.join(word for word, holds in words.items() if holds)}")


@of_teams.command("create")
@click.argument("name")
@click.argument("owner")
def create_team(name: str, owner: str) -> None:
    """Make the team NAME, of which the user OWNER is the first owner."""
    teams.created(name, people.named(owner))


@of_teams.command("add")
@click.argument("team")
@click.argument("user")
@click.option("--role", type=ROLES, default=str(Role.MEMBER), show_default=True)
def add_member(team: str, user: str, role: str) -> None:
    """Take USER into TEAM, or give him another role there."""
    teams.put(teams.named(team).id, people.named(user), Role(role))


@of_teams.command("remove")
@click.argument("team")
@click.argument("user")
def remove_member(team: str, user: str) -> None:
    """Take USER out of TEAM and revoke his tokens for it."""
    teams.remove(teams.named(team).id, people.named(user))


@of_teams.command("list")
def list_teams() -> None:
    """Show who is what in which team."""
    for its in teams.memberships():
        echo(f"{its.team} {its.user} {its.role}")


@of_tokens.command("create")
@click.argument("user")
@click.option("--name", default="", help="What people call the token.")
@click.option("--team", default=None, help="The team in which it speaks for the user; the user's own when not said.")
@click.option("--scope", type=SCOPES, default=str(Scope.WRITE), show_default=True)
@click.option("--expires", type=click.IntRange(1, 36_500), default=None, help="In how many days; never when not said.")
@click.option("--loopback-only", is_flag=True, help="Good only for requests from this machine.")
def create_token(user: str, name: str, team: str | None, scope: str, expires: int | None, loopback_only: bool) -> None:
    """Print a new token of USER. It is shown this once; only its hash is stored."""
    there = teams.named(team) if team else None
    ends = credentials.expiry(expires)
    click.echo(
        tokens.create_for_user(user, there, name=name, scope=scope, expires_at=ends, is_local=loopback_only)
    )  # fmt: skip


@of_tokens.command("list")
@click.argument("user", required=False)
def list_tokens(user: str | None) -> None:
    """Show the tokens that are not revoked, of nodes too, or those of USER."""
    found = credentials.listed(user_id=people.named(user).id if user else None)
    for row, bearer, team in found:
        where = f"{team} {row.scope}" if team else "node"
        ends = row.expires_at.isoformat() if row.expires_at else "never"
        used = row.last_used_at.isoformat() if row.last_used_at else "never"
        echo(f"{row.id} {bearer} {where} expires {ends}, used {used} {row.name}".rstrip())


@of_tokens.command("revoke")
@click.argument("token_id", type=click.UUID)
def revoke_token(token_id: UUID) -> None:
    """Revoke the token with this id, a node's too."""
    credentials.revoke(token_id)
