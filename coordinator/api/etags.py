"""ETags: who has an answer already is told only that. The tag of JSON is its own hash, of a stored file the file's."""

from flask import Flask, Response, request


def register(app: Flask) -> None:
    """From now on each JSON answer to a GET has one."""
    app.after_request(tag)


def tag(response: Response) -> Response:
    """The answer, or 304 where it is the one that the client names in If-None-Match."""
    is_read = request.method in ("GET", "HEAD") and response.status_code == 200
    if is_read and response.is_json and not response.is_streamed and not response.get_etag()[0]:
        response.add_etag()
        response.make_conditional(request)
    return response


def unchanged(etag: str) -> Response | None:
    """Of something with this tag: 304 where the client has it, 412 where it wants another, else None."""
    its = Response()
    its.set_etag(etag)
    its.make_conditional(request)
    return its if its.status_code != 200 else None
