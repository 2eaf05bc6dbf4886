"""What tests of documents share, and those of nodes."""

from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from coordinator.app import create_app
from coordinator.config import Config
from coordinator.extensions import db
from coordinator.models import Build, Team
from coordinator.parts import parts
from wire.names import build_key


@pytest.fixture(scope="session")
def bare() -> Flask:
    """The app as `flask --app wsgi` builds it; it connects to nothing."""
    return create_app(Config(database_url="postgresql://nobody@localhost/none", broker_url="amqp://localhost/none"))


@pytest.fixture
def build_id(app: Flask) -> UUID:
    """A build in the store."""
    made = uuid4()
    with app.app_context():
        team = db.session.scalars(select(Team).where(Team.name == "owner")).one()
        db.session.add(Build(id=made, env_id="maze", version="1", owner_id=team.personal_of, team_id=team.id,
                             state="READY", sha256="0" * 64, size=5, key=build_key(made)))  # fmt: skip
        db.session.commit()
        storage = parts(app).storage
        storage.s3.put_object(Bucket=storage.bucket, Key=build_key(made), Body=b"build")
    return made
