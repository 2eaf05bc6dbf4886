"""The Flask app, for gunicorn and for `flask --app wsgi`."""

from coordinator.app import create_app
from coordinator.errors import BadConfiguration

try:
    app = create_app()
except BadConfiguration as error:
    raise SystemExit(f"Error: {error}") from None
