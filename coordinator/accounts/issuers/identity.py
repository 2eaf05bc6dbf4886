"""Whom an issuer's token speaks for, and until when: what its claims say, checked. Pure."""

import time
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joserfc.errors import ExpiredTokenError, InvalidClaimError, MissingClaimError
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from ...errors import NotAuthenticated

SKEW_SECONDS = 10
"""By so much an issuer's clock may be ahead of ours. A token that has expired by ours has expired."""
MOST_SUBJECT, MOST_NAME = 255, 150
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
EXPIRED = "This token has expired. Sign in again where it came from."
NOT_YET = "This token is not good yet."
NOT_FOR_US = "This token's claim '{}' is missing, or is not what this installation asks for."


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as an issuer knows him. Who it is say issuer and subject; the name is for people to read."""

    issuer: str
    subject: str
    name: str
    expires_at: datetime

    @property
    def seconds_left(self) -> float:
        """Not above 0 once the token has expired."""
        return self.expires_at.timestamp() - time.time()


@dataclass(frozen=True, slots=True)
class Expected:
    """What is asked of the claims; without an issuer of its own in them (`says_issuer`) one is known by its key."""

    issuer: str
    audiences: tuple[str, ...] = ()
    says_issuer: bool = True
    name_claim: str = "name"


def identity_of(claims: dict[str, Any], expected: Expected) -> Identity:
    """Raises NotAuthenticated."""
    now = time.time()
    options: dict[str, ClaimsOption] = {"exp": {"essential": True}, "sub": {"essential": True}}
    if expected.says_issuer:
        options["iss"] = {"essential": True, "value": expected.issuer}
        options["aud"] = {"essential": True, "values": [*expected.audiences]}
    try:
        JWTClaimsRegistry(now=int(now), leeway=SKEW_SECONDS, **options).validate(claims)
    except ExpiredTokenError:
        raise NotAuthenticated(EXPIRED) from None
    except (MissingClaimError, InvalidClaimError) as error:
        raise NotAuthenticated(_sentence(claims, error)) from None
    if claims["exp"] <= now:
        raise NotAuthenticated(EXPIRED)
    subject = claims["sub"]
    if not subject.isprintable() or len(subject) > MOST_SUBJECT:
        raise NotAuthenticated(NOT_FOR_US.format("sub"))
    ends = datetime.fromtimestamp(min(claims["exp"], END_OF_TIME), UTC)
    return Identity(expected.issuer, subject, displayed(claims.get(expected.name_claim), subject), ends)


def displayed(name: Any, subject: str) -> str:
    """What a user is called here: as the issuer says, in characters that can be seen, without the '/' of addresses."""
    for said in (name, subject):
        if isinstance(said, str):
            seen = unicodedata.normalize("NFKC", said).replace("/", " ")
            cleaned = " ".join("".join(one for one in seen if one.isprintable()).split())
            if cleaned.strip("."):  # "." and ".." are no names in an address
                return cleaned[:MOST_NAME].rstrip()
    return "user"


def _sentence(claims: dict[str, Any], error: MissingClaimError | InvalidClaimError) -> str:
    is_early = error.claim == "nbf" and isinstance(claims["nbf"], int | float)
    return NOT_YET if is_early else NOT_FOR_US.format(error.claim)
