"""ETags: who has an answer already is told only that, and who has its beginning may ask for the rest. The tag of JSON
is its own hash, of a stored file the file's."""

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from ..errors import NotAsNamed

CHANGED = "It is not (any more) what If-Match names."


def register(app: Flask) -> None:
    """From now on each JSON answer to a GET has one."""
    app.after_request(tag)


def tag(response: Response) -> Response:
    """The answer, or 304 where it is the one that the client names in If-None-Match, 412 where it wants another."""
    is_read = request.method in ("GET", "HEAD") and response.status_code == 200
    if is_read and response.is_json and not response.is_streamed and not response.get_etag()[0]:
        response.add_etag()
        response.make_conditional(request)
        if response.status_code == 412:  # what is raised here, nobody would catch
            return current_app.make_response(current_app.handle_user_exception(NotAsNamed(CHANGED)))
    return response


def unchanged(etag: str) -> Response | None:
    """Of something with this tag: 304 where the client has it, else None. Raises NotAsNamed where it wants another."""
    its = Response()
    its.set_etag(etag)
    its.make_conditional(request)
    if its.status_code == 412:
        raise NotAsNamed(CHANGED)
    return its if its.status_code != 200 else None


def part(etag: str, size: int) -> range | None:
    """Which bytes the request asks for, of so many with this tag. None: all of them, as also for whoever asks for
    several parts at once, or to go on with something that was another (If-Range).

    Raises RequestedRangeNotSatisfiable.
    """
    wanted = request.range if request.method == "GET" else None
    is_the_same = request.headers.get("If-Range") in (None, f'"{etag}"')
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or not is_the_same:
        return None
    start, stop = wanted.ranges[0]  # of the last n bytes: (-n, None)
    its = range(size)[start:stop]
    if not its:
        raise RequestedRangeNotSatisfiable(size)
    return its
