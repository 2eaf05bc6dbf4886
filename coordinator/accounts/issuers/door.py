"""Which outside issuers this installation trusts, and which of them a token is from. None, unless configured."""

from ...config import Config
from ...errors import NotAuthenticated
from ...permissions import Scope
from ..tokens import digest_of
from . import key_host
from .identity import Identity
from .keys import Fetch
from .sessions import Sessions
from .signed import NOT_TRUSTED, Signed

MOST_CHARACTERS = 8_192
MOST_KNOWN = 10_000
DOTS_OF_SIGNED, DOTS_OF_SESSION = 2, 4
"""By these a token of somebody else's is told from another, and from one of ours, which has none."""


class Issuers:
    """Takes tokens of others, as configured; `scope` is what such a token is good for."""

    def __init__(self, config: Config, fetch: Fetch = key_host.fetch) -> None:
        self.scope = Scope(config.auth_scope)
        self._good = set[bytes]()
        self._by_dots: dict[int, Signed | Sessions] = {}
        if config.auth_jwks_url or config.auth_jwt_secret:
            self._by_dots[DOTS_OF_SIGNED] = Signed(config, fetch)
        if config.nextauth_secret:
            self._by_dots[DOTS_OF_SESSION] = Sessions(config)

    def takes(self, text: str) -> bool:
        """Whether this is a token of such a kind; no word on whether it is good."""
        return text.count(".") in self._by_dots

    def identity(self, text: str) -> Identity:
        """Whom a token that is taken speaks for. Raises NotAuthenticated, and Unavailable."""
        if len(text) > MOST_CHARACTERS or not text.isascii():
            raise NotAuthenticated(NOT_TRUSTED)
        found = self._by_dots[text.count(".")].identity(text)
        if len(self._good) >= MOST_KNOWN:
            self._good.clear()
        self._good.add(digest_of(text))
        return found

    def was_good(self, text: str) -> bool:
        """Whether it was, when it came before; it may have expired since."""
        return digest_of(text) in self._good
