"""What tests of documents share."""

import pytest
from flask import Flask

from coordinator.app import create_app
from coordinator.config import Config


@pytest.fixture(scope="session")
def bare() -> Flask:
    """The app as `flask --app wsgi` builds it; it connects to nothing."""
    return create_app(Config(database_url="postgresql://nobody@localhost/none", broker_url="amqp://localhost/none"))
