"""The Flask app, for gunicorn and for `flask --app wsgi`."""

from coordinator.app import create_app

app = create_app()
