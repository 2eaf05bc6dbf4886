"""An issuer's public keys, as they were fetched last: kept, and fetched anew for a key that is not among them."""

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, RSAKey, import_key

from ...errors import Unavailable

Fetch = Callable[[str], bytes]
"""What lies at an address. Raises Unavailable."""
log = logging.getLogger(__name__)
WAIT_SECONDS, AWAY_SECONDS = 3.0, 2.0
"""For so long a request waits for keys; so often they are asked for while there are none."""
FRESH_SECONDS, KEPT_SECONDS = 600.0, 86_400.0
"""After so long keys are fetched anew on the way; for so long they are good while that fails."""
MOST_KEYS, LEAST_RSA_BITS = 100, 2048
KINDS = ("RSA", "EC", "OKP")
"""Public ones. A secret in a published set would be none."""
AWAY = "The keys of the token's issuer can't be fetched at the moment. Try again in a few seconds."


class Keys:
    """Of one address. Fetched by one thread at a time, for which no request waits for long."""

    def __init__(self, url: str, seconds: float, fetch: Fetch) -> None:
        self._url, self._seconds, self._fetch = url, seconds, fetch
        self._known, self._fetched_at, self._has_failed = KeySet([]), 0.0, False
        self._lock, self._is_idle, self._next = threading.Lock(), threading.Event(), 0.0
        self._is_idle.set()

    def having(self, kid: str | None) -> KeySet:
        """All that are known; fetched before, if this one is not among them and the last time is long enough ago.

        Raises Unavailable while none is known, or while it can't be told whether this one is.
        """
        self._forget_old()
        if not _has(self._known, kid):
            self._refresh()
            self._is_idle.wait(WAIT_SECONDS)
            if not _has(self._known, kid) and (self._has_failed or not self._known):
                raise Unavailable(AWAY)
        elif time.monotonic() - self._fetched_at > FRESH_SECONDS:
            self._refresh()
        return self._known

    def _refresh(self) -> None:
        with self._lock:
            if not self._is_idle.is_set() or time.monotonic() < self._next:
                return
            self._is_idle.clear()
            self._next = time.monotonic() + self._seconds
        threading.Thread(target=self._work, name="issuer's keys", daemon=True).start()

    def _work(self) -> None:
        try:
            self._known = public_keys(self._fetch(self._url))
            self._fetched_at, self._has_failed = time.monotonic(), False
        except Unavailable as error:
            self._has_failed = True
            log.warning("The keys at %s can't be fetched: %s", self._url, error.detail)
        finally:
            if not self._known:
                self._next = time.monotonic() + AWAY_SECONDS
            self._is_idle.set()

    def _forget_old(self) -> None:
        if self._known and time.monotonic() - self._fetched_at > KEPT_SECONDS:
            self._known = KeySet([])


def public_keys(content: bytes) -> KeySet:
    """Those of a JWK set that can verify. Raises Unavailable where there is none."""
    try:
        said = json.loads(content)
        listed = said["keys"][:MOST_KEYS]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Unavailable("it sent no JWK set") from None
    if found := [key for one in listed if (key := _public_key(one))]:
        return KeySet(found)
    raise Unavailable("it sent no public key by which a signature can be verified")


def _public_key(its: Any) -> Key | None:
    """None for one that is for something else, or is not known here: the others are good nevertheless."""
    if not isinstance(its, dict) or its.get("kty") not in KINDS or its.get("use", "sig") != "sig":
        return None
    try:
        key = import_key(its)
        is_short = isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError) as error:
        log.warning("One of the issuer's keys is of no use: %s", error)
        return None
    return None if is_short else key


def _has(known: KeySet, kid: str | None) -> bool:
    return bool(known) if kid is None else any(key.kid == kid for key in known)
