"""What every answer tells browsers: it is what it says, in no frame, kept nowhere; and whose pages may read it."""

from urllib.parse import urlsplit

from flask import Flask, Response, request

from ..config import Config
from .admission import is_named

ON_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TLS_ONLY = "max-age=31536000"
"""For a year, browsers speak to this host by TLS alone."""
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
TAKEN = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range"
SHOWN = "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Location, Retry-After"
PREFLIGHT_SECONDS = "600"


def register(app: Flask, config: Config) -> None:
    """Before all else that changes answers: Flask asks whoever came first last."""
    has_tls = urlsplit(config.public_url).scheme == "https"

    @app.after_request
    def complete(answer: Response) -> Response:
        for name, value in ON_ALL.items():
            answer.headers.setdefault(name, value)  # a page of our own may allow itself more
        if has_tls:
            answer.headers["Strict-Transport-Security"] = TLS_ONLY
        # answers are of one token's owner; one with a tag may be kept by his own program, and asked about each time
        may_be_kept = "ETag" in answer.headers and answer.status_code < 400
        answer.headers.setdefault("Cache-Control", "private, no-cache" if may_be_kept else "no-store")
        if config.allowed_origins:
            _share(answer, config.allowed_origins)
        return answer


def _share(answer: Response, allowed: str) -> None:
    """Lets pages of the origins that the operator has named read the answer. Cookies never do: there are none."""
    answer.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin is None or not is_named(origin, allowed):
        return
    answer.headers["Access-Control-Allow-Origin"] = origin
    answer.headers["Access-Control-Expose-Headers"] = SHOWN
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        answer.headers["Access-Control-Allow-Methods"] = METHODS
        answer.headers["Access-Control-Allow-Headers"] = TAKEN
        answer.headers["Access-Control-Max-Age"] = PREFLIGHT_SECONDS
