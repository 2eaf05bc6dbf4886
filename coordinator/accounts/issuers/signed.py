"""Signed tokens (JWS) of the one issuer that is configured: by its published keys, or by a secret shared with it."""

from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeyFlexible, OctKey
from joserfc.jws import JWSRegistry

from ...config import Config
from ...errors import NotAuthenticated
from .identity import Expected, Identity, identity_of
from .keys import Fetch, Keys

BY_KEY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""What may be configured: a public key verifies, and can't be taken for a secret."""
BY_SECRET = ("HS256",)
NOT_TRUSTED = "This token was not signed by the issuer that this installation trusts, or it is damaged."


class Signed:
    """By which keys and algorithms such a token is verified, and what its claims must say."""

    def __init__(self, config: Config, fetch: Fetch) -> None:
        words = tuple(word.strip() for word in config.auth_algorithms.split(","))
        allowed = tuple(word for word in words if word in BY_KEY) if config.auth_jwks_url else BY_SECRET
        self._registry = JWSRegistry(algorithms=allowed, strict_check_header=False)
        self._key = _published(config, fetch) if config.auth_jwks_url else OctKey.import_key(config.auth_jwt_secret)
        audiences = tuple(one.strip() for one in config.auth_audience.split(",") if one.strip())
        self._expected = Expected(config.auth_issuer, audiences, name_claim=config.auth_name_claim)

    def identity(self, text: str) -> Identity:
        """Raises NotAuthenticated, and Unavailable while the issuer's keys can't be fetched."""
        claims = opened(lambda: jwt.decode(text, self._key, registry=self._registry).claims)
        return identity_of(claims, self._expected)


def opened(decode: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The claims, which nobody else can have written. Raises NotAuthenticated for whatever strangers send."""
    try:
        return decode()
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, AssertionError, RecursionError):
        raise NotAuthenticated(NOT_TRUSTED) from None


def _published(config: Config, fetch: Fetch) -> KeyFlexible:
    keys = Keys(config.auth_jwks_url, config.auth_jwks_seconds, fetch)
    return lambda token: keys.having(token.headers().get("kid"))
