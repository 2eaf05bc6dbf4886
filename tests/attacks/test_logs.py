"""Names that would forge a line or play tricks on a terminal, in the tables that commands print for operators."""

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from coordinator.extensions import db
from coordinator.models import RejectedMessage, Team, Token, User

EVIL = "ann\r\nroot 00000000 operator\x1b[2K\x1b]0;evil\x07\x9b31m\u202eevil"


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """Over a database in which users, teams and messages have such names: from before they were refused."""
    with app.app_context():
        db.session.query(User).filter(User.name == "stranger").update({"name": EVIL})
        db.session.query(Team).filter(Team.name == "stranger").update({"name": EVIL})
        db.session.query(Token).update({"name": EVIL})
        db.session.add(RejectedMessage(source="facts", reason=EVIL, body=EVIL))
        db.session.commit()
    return app.test_cli_runner()


@pytest.mark.parametrize("command", ["users list", "teams list", "tokens list", "rejected"])
def test_no_table_of_a_command_plays_tricks(runner: FlaskCliRunner, command: str) -> None:
    printed = runner.invoke(args=command.split())
    assert printed.exit_code == 0, printed.output
    lines = printed.output.split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if line.startswith("root")] == []


@pytest.mark.parametrize(
    "command", [["users", "create", f"new {EVIL}"], ["teams", "create", f"new {EVIL}", "owner"]], ids=lambda its: its[0]
)
def test_nobody_gets_such_a_name(runner: FlaskCliRunner, command: list[str]) -> None:
    printed = runner.invoke(args=command)
    assert printed.exit_code == 1
    assert "neither '/' nor control characters" in printed.output
