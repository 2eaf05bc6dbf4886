"""The command for the audit: all of it, for whoever keeps it elsewhere."""

from datetime import UTC, datetime

import click

from .. import audit_trail
from ..accounts import teams
from ..api import audit_forms
from .sentences import Commands

of_audit = Commands("audit", help="Who changed what, when, from where and why.")
MOMENTS = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@of_audit.command("export")
@click.option("--format", "form", type=click.Choice([*audit_forms.FORMS]), default="ndjson", show_default=True)
@click.option("--since", type=MOMENTS, default=None, help="From that moment on (UTC).")
@click.option("--until", type=MOMENTS, default=None, help="What was before that moment (UTC).")
@click.option("--team", default=None, help="Of that team only; everything when not said.")
def export(form: str, since: datetime | None, until: datetime | None, team: str | None) -> None:
    """Print all entries, oldest first."""
    which = audit_trail.Which(teams.named(team).id if team else None, since=_utc(since), until=_utc(until))
    _, write = audit_forms.FORMS[form]
    for line in write(audit_forms.entry(*row) for row in audit_trail.all_of(which)):
        click.echo(line, nl=False)


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None
