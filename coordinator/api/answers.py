"""Errors as games know them: JSON with a sentence in `detail`, and a `code` that stays when the sentence changes."""

import logging
from typing import Any

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import exc
from werkzeug.exceptions import HTTPException

from ..errors import CoordinatorError

log = logging.getLogger(__name__)
DATABASE_AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)
AWAY = "The database can't be reached at the moment. Nothing is lost; try again in a few seconds."


def register(app: Flask) -> None:
    """No request ends with HTML or a traceback."""
    app.register_error_handler(CoordinatorError, _known)
    app.register_error_handler(HTTPException, _http)
    for kind in DATABASE_AWAY:
        app.register_error_handler(kind, _away)
    app.register_error_handler(Exception, _bug)


def _answer(status: int, code: str, detail: str, **headers: str) -> ResponseReturnValue:
    return jsonify(detail=detail, code=code), status, headers


def _known(error: Any) -> ResponseReturnValue:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _answer(error.status, error.code, error.detail, **headers)


CODES = {
    400: "bad_request", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 408: "too_slow",
    411: "length_required", 412: "precondition_failed", 413: "body_too_large", 415: "unsupported_media_type",
    416: "range_not_satisfiable", 417: "expectation_failed", 429: "too_many_requests",
}  # fmt: skip
"""Of what Flask and Werkzeug refuse; any other of their statuses is bad_request or internal_error."""


def _http(error: Any) -> ResponseReturnValue:
    details = {
        404: "There is nothing at this address.",
        405: f"This address takes {', '.join(sorted(error.valid_methods or ()))} only." if error.code == 405 else "",
        416: f"The file has {error.length} bytes, and no such part." if error.code == 416 else "",
    }
    headers = {"Allow": ", ".join(error.valid_methods or ())} if error.code == 405 else {}
    if error.code == 416:
        headers = {"Content-Range": f"bytes */{error.length}"}
    status = error.code or 500
    code = CODES.get(status, "bad_request" if status < 500 else "internal_error")
    return _answer(status, code, details.get(status) or str(error.description), **headers)


def _away(error: Exception) -> ResponseReturnValue:
    log.warning("PostgreSQL is away: %s", str(error).splitlines()[0])
    return _answer(503, "unavailable", AWAY, **{"Retry-After": "2"})


def _bug(error: Exception) -> ResponseReturnValue:
    log.exception("A request failed unexpectedly.", exc_info=error)
    return _answer(500, "internal_error", "Something went wrong here; it has been logged. Your data are safe.")
