"""Addresses that nothing can have: PostgreSQL knows no NUL, so no name has one, and no question about one is asked."""

from flask import Flask, request

from ..errors import BadRequest, NotFound


def register(app: Flask) -> None:
    """From now on each request's address is looked at before anybody else sees it."""
    app.before_request(check)


def check() -> None:
    """Raises NotFound and BadRequest."""
    if "\0" in request.path:
        raise NotFound("There is nothing at this address.")
    for name, value in request.args.items(multi=True):
        if "\0" in name or "\0" in value:
            raise BadRequest("There must be no NUL character in the address.")
