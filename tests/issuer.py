"""An outside issuer: its keys, the tokens that it makes, and the address where its public keys lie."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, Key, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from coordinator.accounts.issuers.sessions import key_of

ISSUER, AUDIENCE, SECRET = "https://login.example.com", "train-jobs", "s" * 48
SETTINGS = {"auth_issuer": ISSUER, "auth_audience": f"other, {AUDIENCE}", "auth_algorithms": "RS256,ES256"}


@cache
def rsa(kid: str = "rsa-1") -> RSAKey:
    """An issuer's key; the same for the same id."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def elliptic(kid: str = "ec-1") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"})


def claims(subject: str = "u-1", seconds: float = 600, **changes: Any) -> dict[str, Any]:
    """Those of a good token, with changes; None leaves a claim out."""
    now = time.time()
    its = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "name": f"Name of {subject}", "iat": int(now),
           "exp": now + seconds}  # fmt: skip
    return {name: value for name, value in (its | changes).items() if value is not None}


def signed(its: dict[str, Any] | None = None, key: Key | None = None, alg: str = "RS256", **header: Any) -> str:
    """A token by the issuer's key, or by another."""
    key = key or rsa()
    names = {"alg": alg, "kid": key.kid} | header
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    said = {name: value for name, value in names.items() if value is not None}
    return jwt.encode(said, claims() if its is None else its, key, registry=registry)


def by_secret(its: dict[str, Any] | None = None, secret: str | bytes = SECRET, alg: str = "HS256") -> str:
    return jwt.encode({"alg": alg}, claims() if its is None else its, OctKey.import_key(secret), algorithms=[alg])


def session(its: dict[str, Any] | None = None, secret: str = SECRET, enc: str = "A256GCM", **header: Any) -> str:
    """A session token as NextAuth makes it."""
    said = claims(iss=None, aud=None) if its is None else its
    registry = JWERegistry(algorithms=["dir", "A256GCM", "A128CBC-HS256", "DEF"])
    return jwt.encode({"alg": "dir", "enc": enc} | header, said, OctKey.import_key(key_of(secret)), registry=registry,
                      default_type=None)  # fmt: skip


def published(*keys: Key) -> bytes:
    """A JWK set of their public halves."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


class KeyServer:
    """Where the issuer's keys lie; a test may change them, or what the server does."""

    def __init__(self, *keys: Key) -> None:
        self.content, self.status, self.paths = published(*keys), 200, list[str]()
        self.gate = threading.Event()
        """While it is closed no answer comes."""
        self.gate.set()
        self.header: dict[str, str] = {}
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}/keys?of=all"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        its = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                its.paths.append(self.path)
                its.gate.wait(60)
                self.send_response(its.status)
                for name, value in its.header.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(its.content)

            def log_message(self, *about: Any) -> None:
                """Says nothing."""

        return Handler


@contextmanager
def key_server(*keys: Key) -> Iterator[KeyServer]:
    """Runs until the end."""
    server = KeyServer(*keys)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.http.shutdown()
    server.http.server_close()
