"""The API's documents, and the page on which people read them. They are for anybody: none tells of this installation.

The page's program comes from a package, never from another host, and nothing in the page itself is executed.
"""

import json
import threading
from collections.abc import Callable
from importlib.resources import files

from flask import Blueprint, Flask, Response, current_app
from flask.typing import ResponseReturnValue

from ..errors import NotFound
from . import asyncapi, openapi
from .auth import Door, needs
from .described import Bytes, tells
from .forms import Json
from .json_schemas import Schema
from .parameters import Conditional, Tagged

blueprint = Blueprint("documents", __name__, url_prefix="/api")
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
          "form-action 'none'; base-uri 'none'; frame-ancestors 'none'")  # fmt: skip
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Train Jobs Coordinator</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
<script src="/api/docs/swagger-ui-bundle.js" defer></script>
<script src="/api/docs/page.js" defer></script>
</head>
<body><div id="page"></div></body>
</html>
"""
START = """"use strict";
SwaggerUIBundle({url: "/api/v1/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null});
"""
ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript", "page.js": "text/javascript"}
DAY = 86_400
MAKING = threading.Lock()
"""Python 3.11 parses source in one thread at a time only."""


@blueprint.get("/v1/openapi.json")
@needs(Door.ANYBODY)
@tells(Json, headers=Conditional, sends=Tagged)
def rest() -> ResponseReturnValue:
    """This document: every address of the REST API, OpenAPI 3.1."""
    return _sent("openapi", openapi.document)


@blueprint.get("/v1/asyncapi.json")
@needs(Door.ANYBODY)
@tells(Json, headers=Conditional, sends=Tagged)
def messages() -> ResponseReturnValue:
    """What comes over WebSockets and RabbitMQ, AsyncAPI 3."""
    return _sent("asyncapi", asyncapi.document)


@blueprint.get("/docs")
@needs(Door.ANYBODY)
@tells(Bytes("text/html", "The page."))
def page() -> Response:
    """A page to read this document on, and to try it out."""
    return Response(PAGE, mimetype="text/html", headers={"Content-Security-Policy": POLICY})


@blueprint.get("/docs/<asset>")
@needs(Door.ANYBODY)
@tells(Bytes("*/*", "The file."))
def assets(asset: str) -> Response:
    """A file of that page."""
    if asset not in ASSETS:
        raise NotFound(f"The page has no file {asset[:100]!r}.")
    content = START.encode() if asset == "page.js" else files("flask_swagger_ui").joinpath("dist", asset).read_bytes()
    answer = Response(content, mimetype=ASSETS[asset])
    answer.cache_control.max_age = DAY
    return answer


def text_of(app: Flask, name: str, document: Callable[[Flask], Schema]) -> str:
    """A document as JSON; made once, for it never changes while the process runs."""
    made: dict[str, str] = app.extensions.setdefault("documents", {})
    with MAKING:
        if name not in made:
            made[name] = json.dumps(document(app), indent=1)
    return made[name]


def _sent(name: str, document: Callable[[Flask], Schema]) -> ResponseReturnValue:
    return Response(text_of(current_app, name, document), mimetype="application/json")
