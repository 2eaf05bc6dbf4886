"""Session tokens of NextAuth (JWE): a secret shared with the web page that signs people in opens them."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.jwe import JWERegistry
from joserfc.jwk import OctKey

from ...config import Config
from .identity import Expected, Identity, identity_of
from .signed import opened

ISSUER = "NextAuth"
"""They name none."""
PURPOSE = b"NextAuth.js Generated Encryption Key"


class Sessions:
    """Opens them; nothing but this one algorithm, and nothing that was compressed."""

    def __init__(self, config: Config) -> None:
        self._registry = JWERegistry(algorithms=("dir", "A256GCM"))
        self._key = OctKey.import_key(key_of(config.nextauth_secret))
        self._expected = Expected(ISSUER, says_issuer=False, name_claim=config.auth_name_claim)

    def identity(self, text: str) -> Identity:
        """Raises NotAuthenticated."""
        claims = opened(lambda: jwt.decode(text, self._key, registry=self._registry).claims)
        return identity_of(claims, self._expected)


def key_of(secret: str) -> bytes:
    """The key of 256 bits that NextAuth derives from its secret."""
    return HKDF(algorithm=SHA256(), length=32, salt=b"", info=PURPOSE).derive(secret.encode())
