"""Is this process alive, and can it work?"""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from .. import queries
from .auth import Door, needs
from .described import tells
from .forms import Health

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@needs(Door.ANYBODY)
@tells(Health)
def livez() -> ResponseReturnValue:
    """The process answers."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
@needs(Door.ANYBODY)
@tells(Health)
def readyz() -> ResponseReturnValue:
    """The process can take jobs: PostgreSQL answers. RabbitMQ and S3 may be away; submitted jobs wait."""
    queries.is_there()
    return jsonify(status="ready")
