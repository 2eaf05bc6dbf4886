"""The migrations make exactly the tables that the models describe."""

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import CheckConstraint, inspect
from sqlalchemy.exc import IntegrityError

from coordinator.accounts import tokens
from coordinator.extensions import db
from tests.integration.database import rows
from tests.jobs import URL, Client, body

INSERT_A_LOST_JOB = """
INSERT INTO jobs (run_id, owner_id, team_id, job_type, state, agent_config, env_id, agent_id, num_of_areas, behaviour,
                  steps, steps_before, steps_trained, seed, priority, attempt, first_attempt, last_seq, replay_from)
SELECT gen_random_uuid(), personal_of, id, 'CREATE', 'LOST', '', '', '', 1, '', 1, 0, 0, 1, 1, 1, 1, 0, 0 FROM teams
LIMIT 1
RETURNING 1
"""


def test_the_migrated_tables_are_those_of_the_models(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), db.metadata) == []


def test_so_are_the_rules_for_their_rows(app: Flask) -> None:
    """Alembic compares no CHECK constraints."""
    with app.app_context():
        for table in db.metadata.sorted_tables:
            ours = {str(it.name) for it in table.constraints if isinstance(it, CheckConstraint)}
            assert {str(it["name"]) for it in inspect(db.engine).get_check_constraints(table.name)} == ours


def test_a_state_that_nobody_knows_is_not_stored(app: Flask) -> None:
    with pytest.raises(IntegrityError, match="jobs_state"):
        rows(app, INSERT_A_LOST_JOB)


def test_an_empty_database_is_left_when_all_migrations_are_taken_back(app: Flask) -> None:
    with app.app_context():
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        flask_migrate.upgrade()
        assert "jobs" in inspect(db.engine).get_table_names()


def test_what_somebody_had_before_there_were_teams_stays_his(app: Flask, client: Client, owner: dict[str, str]) -> None:
    run_id = client.post(URL, json=body(), headers=owner).json["run_id"]
    with app.app_context():
        flask_migrate.downgrade(revision="0003")
        flask_migrate.upgrade()
    tokens.forget()
    assert client.get("/api/v1/me", headers=owner).json["team"] == "owner"
    assert [job["run_id"] for job in client.get(URL, headers=owner).json] == [run_id]
    assert client.post(f"{URL}/{run_id}/cancel", headers=owner).status_code == 200
