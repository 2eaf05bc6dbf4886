"""Tokens of outside issuers: what is taken, and everything that looks like it and is not."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from coordinator.accounts import outsiders, users
from coordinator.accounts.issuers import sessions
from coordinator.accounts.issuers.door import MOST_CHARACTERS, Issuers
from coordinator.accounts.issuers.identity import EXPIRED, NOT_FOR_US, NOT_YET, Identity, displayed
from coordinator.accounts.issuers.keys import AWAY
from coordinator.accounts.issuers.signed import NOT_TRUSTED
from coordinator.config import Config
from coordinator.errors import NotAuthenticated, Unavailable
from tests.issuer import (
    AUDIENCE,
    ISSUER,
    SECRET,
    SETTINGS,
    by_secret,
    claims,
    elliptic,
    published,
    rsa,
    session,
    signed,
)

NEEDED = {"database_url": "postgresql://nobody@localhost/none", "broker_url": "amqp://localhost/none"}
LATER, EARLIER = time.time() + 3_600, time.time() - 3_600
STRANGERS = RSAKey.generate_key(2048, {"kid": "rsa-1"})
"""With the id of the issuer's."""
WRONG_CLAIMS = [
    ({"exp": None}, NOT_FOR_US.format("exp")), ({"exp": EARLIER}, EXPIRED), ({"exp": time.time() - 1}, EXPIRED),
    ({"exp": str(LATER)}, NOT_FOR_US.format("exp")), ({"exp": True}, NOT_FOR_US.format("exp")),
    ({"exp": float("nan")}, NOT_FOR_US.format("exp")), ({"exp": [LATER]}, NOT_FOR_US.format("exp")),
    ({"nbf": LATER}, NOT_YET), ({"nbf": "soon"}, NOT_FOR_US.format("nbf")), ({"iat": LATER}, NOT_FOR_US.format("iat")),
    *(({"sub": sub}, NOT_FOR_US.format("sub")) for sub in (None, "", 7, ["u-1"], "a\0b", "\u202e", "s" * 256)),
]  # fmt: skip
WRONG_FOR_US = [
    *(({"aud": aud}, NOT_FOR_US.format("aud")) for aud in (None, "", "else", ["else"], [], 7, {"train-jobs": 1})),
    *(({"iss": iss}, NOT_FOR_US.format("iss")) for iss in (None, "", ISSUER + "/", ISSUER.upper(), [ISSUER])),
]


def named(of: Any) -> str:
    """Of a claim: its name and type, which are the same in each process that collects the tests."""
    return ", ".join(f"{name}: {type(value).__name__}" for name, value in of.items()) if isinstance(of, dict) else ""


class Host:
    """Where the issuer's keys lie; counts how often it is asked."""

    def __init__(self, *known: Any) -> None:
        self.known, self.asked = known, 0

    def fetch(self, url: str) -> bytes:
        self.asked += 1
        if not self.known:
            raise Unavailable("it is away")
        return published(*self.known)


def trusting(host: Host | None = None, **settings: Any) -> Issuers:
    return Issuers(Config(**NEEDED, **SETTINGS | settings), (host or Host()).fetch)


BY_KEYS = trusting(Host(rsa(), elliptic()), auth_jwks_url="https://login.example.com/keys", auth_jwks_seconds=3_600)
BY_SECRET = trusting(auth_jwt_secret=SECRET)
NEXTAUTH = trusting(nextauth_secret=SECRET)


def refusal(issuers: Issuers, token: str) -> str:
    assert issuers.takes(token)
    with pytest.raises(NotAuthenticated) as caught:
        issuers.identity(token)
    return caught.value.detail


def part(value: Any) -> str:
    """One part of a token, of bytes or of JSON."""
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize(("issuers", "token", "issuer"), [
    (BY_KEYS, lambda: signed(), ISSUER), (BY_KEYS, lambda: signed(key=elliptic(), alg="ES256"), ISSUER),
    (BY_SECRET, lambda: by_secret(), ISSUER), (NEXTAUTH, lambda: session(), sessions.ISSUER),
    (BY_KEYS, lambda: signed(claims(aud=["else", "other"])), ISSUER),
    (BY_KEYS, lambda: signed(claims(nbf=time.time() + 5)), ISSUER),
    (BY_KEYS, lambda: signed(typ="at+jwt", x="unknown"), ISSUER),
    (BY_KEYS, lambda: signed(claims(exp=10**400)), ISSUER),
])  # fmt: skip
def test_a_good_token_says_who_it_is(issuers: Issuers, token: Callable[[], str], issuer: str) -> None:
    who = issuers.identity(token())
    assert (who.issuer, who.subject, who.name) == (issuer, "u-1", "Name of u-1")
    assert who.expires_at > datetime.now(UTC)


@pytest.mark.parametrize(("change", "sentence"), [*WRONG_CLAIMS, *WRONG_FOR_US], ids=named)
def test_a_claim_that_is_missing_or_wrong_is_named(change: dict[str, Any], sentence: str) -> None:
    its = claims(**change)
    assert refusal(BY_KEYS, signed(its)) == refusal(BY_SECRET, by_secret(its)) == sentence


@pytest.mark.parametrize(("change", "sentence"), WRONG_CLAIMS, ids=named)
def test_so_it_is_in_a_session(change: dict[str, Any], sentence: str) -> None:
    assert refusal(NEXTAUTH, session(claims(iss=None, aud=None, **change))) == sentence


def by_hand(payload: bytes, secret: bytes = SECRET.encode(), **header: Any) -> str:
    """An HS256 token that no library would make."""
    start = f"{part({'alg': 'HS256'} | header)}.{part(payload)}"
    return f"{start}.{part(hmac.digest(secret, start.encode(), 'sha256'))}"


def test_half_a_character_is_no_subject() -> None:
    """The database could not store it."""
    token = by_hand(json.dumps(claims("\ud800")).encode())
    assert refusal(BY_SECRET, token) == NOT_FOR_US.format("sub")


def forged() -> dict[str, tuple[Issuers, str]]:
    """Tokens that the issuer has not made, each with what trusts it."""
    head, middle, end = signed().split(".")
    public = rsa().raw_value.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    nothing = {alg: f"{part({'alg': alg, 'kid': 'rsa-1'})}.{part(claims())}." for alg in ("none", "None", "nOnE", "")}
    deep = b'{"alg":' + b"[" * 350 + b"]" * 350 + b"}"
    sealed = session().split(".")
    return {
        **{f"alg {alg!r}": (BY_KEYS, token) for alg, token in nothing.items()},
        "alg none, with a secret": (BY_SECRET, nothing["none"]),
        "signed by a stranger": (BY_KEYS, signed(key=STRANGERS)),
        "with the stranger's key in it": (BY_KEYS, signed(key=STRANGERS, jwk=STRANGERS.as_dict(private=False))),
        "with an address of keys in it": (BY_KEYS, signed(key=STRANGERS, jku="https://evil.example.com/keys")),
        "HS256 by the public key": (BY_KEYS, by_hand(json.dumps(claims()).encode(), pem, kid="rsa-1")),
        "by the public key, with a secret": (BY_SECRET, signed()),
        "by another secret": (BY_SECRET, by_secret(secret="t" * 48)),
        "HS512 by the secret": (BY_SECRET, by_secret(alg="HS512")),
        "an algorithm that is not allowed": (BY_KEYS, signed(alg="RS512")),
        "for the other key's id": (BY_KEYS, signed(kid="ec-1")),
        "an id that is unknown": (BY_KEYS, signed(kid="rsa-2")),
        "no id, and two keys": (BY_KEYS, signed(kid=None)),
        "an id that is no text": (BY_KEYS, f"{part({'alg': 'RS256', 'kid': 7})}.{middle}.{end}"),
        "other claims": (BY_KEYS, f"{head}.{part(claims('u-2'))}.{end}"),
        "no signature": (BY_KEYS, f"{head}.{middle}."), "half a signature": (BY_KEYS, f"{head}.{middle}.{end[:80]}"),
        "an empty middle": (BY_KEYS, f"{head}..{end}"), "dots": (BY_KEYS, ".."),
        "no JSON": (BY_KEYS, f"{part(b'x')}.{middle}.{end}"), "a list": (BY_KEYS, f"{part(['alg'])}.{middle}.{end}"),
        "a text": (BY_KEYS, f"{part('alg')}.{middle}.{end}"), "deep": (BY_KEYS, f"{part(deep)}.{middle}.{end}"),
        "a critical header": (BY_SECRET, by_hand(json.dumps(claims()).encode(), crit=["exp"], exp=LATER)),
        "oversized": (BY_KEYS, signed(claims(name="n" * MOST_CHARACTERS))),
        "not ASCII": (BY_KEYS, f"{head}.{middle}.{end[:-1]}é"),
        "claims that are a list": (BY_SECRET, by_hand(b'["exp"]')), "no claims": (BY_SECRET, by_hand(b"")),
        "claims that are deep": (BY_SECRET, by_hand(b"[" * 2_900 + b"]" * 2_900)),
        "claims in another encoding": (BY_SECRET, by_hand("{}".encode("utf-32") + b"\xff")),
        "a session by another secret": (NEXTAUTH, session(secret="t" * 48)),
        "a session that is compressed": (NEXTAUTH, session(zip="DEF")),
        "a compressed bomb": (NEXTAUTH, session(claims(iss=None, aud=None, bomb="0" * 200_000), zip="DEF")),
        "another encryption": (NEXTAUTH, session(enc="A128CBC-HS256")),
        "a session whose tag is cut off": (NEXTAUTH, ".".join([*sealed[:4], sealed[4][:4]])),
        "a session without a tag": (NEXTAUTH, ".".join([*sealed[:4], ""])),
        "a session with a key in it": (NEXTAUTH, ".".join([sealed[0], "AAAA", *sealed[2:]])),
        "a session with another header": (NEXTAUTH, ".".join([part({"alg": "dir", "enc": "A256GCM", "a": 1}),
                                                             *sealed[1:]])),
        "a truncated session": (NEXTAUTH, session()[:-10]), "four dots": (NEXTAUTH, "...."),
    }  # fmt: skip


FORGED = forged()


@pytest.mark.parametrize("how", FORGED)
def test_what_the_issuer_has_not_made_is_not_taken(how: str) -> None:
    issuers, token = FORGED[how]
    assert refusal(issuers, token) == NOT_TRUSTED


@given(token=st.sampled_from([signed(), by_secret(), session()]), data=st.data())
def test_no_damage_goes_unnoticed(token: str, data: st.DataObject) -> None:
    """Whatever is changed in a good token: it is refused, and nothing else comes of it."""
    ends = {len(token) - 1, *(at - 1 for at, one in enumerate(token) if one == ".")}  # base64 ends in idle bits
    at = data.draw(st.integers(0, len(token) - 1).filter(lambda at: at not in ends))
    damaged = data.draw(st.sampled_from([token[:at], token[:at] + "." + token[at:], token[:at] + token[at + 1 :],
                                         token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :]]))  # fmt: skip
    for issuers in (BY_KEYS, BY_SECRET, NEXTAUTH):
        if issuers.takes(damaged):
            assert refusal(issuers, damaged) == NOT_TRUSTED


@given(st.lists(st.text(max_size=200), min_size=3, max_size=5), st.booleans())
def test_whatever_a_stranger_sends_is_refused(parts: list[str], encode: bool) -> None:
    token = ".".join(part(one.encode("utf-8", "replace")) if encode else one for one in parts)
    for issuers in (BY_KEYS, BY_SECRET, NEXTAUTH):
        if issuers.takes(token):
            assert refusal(issuers, token) == NOT_TRUSTED


def test_one_installation_takes_only_what_it_is_told_to() -> None:
    ours, others = "tj_" + "x" * 43, [signed(), session()]
    assert [trusting().takes(token) for token in (ours, *others)] == [False, False, False]
    assert [BY_KEYS.takes(token) for token in (ours, *others)] == [False, True, False]
    assert [NEXTAUTH.takes(token) for token in (ours, *others)] == [False, False, True]


def test_it_is_known_which_tokens_were_good() -> None:
    issuers, good, bad = trusting(auth_jwt_secret=SECRET), by_secret(), by_secret(secret="t" * 48)
    assert not issuers.was_good(good)
    issuers.identity(good)
    refusal(issuers, bad)
    assert (issuers.was_good(good), issuers.was_good(bad)) == (True, False)


def test_the_key_of_a_session_is_the_one_that_nextauth_derives() -> None:
    """By the standard alone: extract with an empty salt, expand to 32 bytes."""
    extracted = hmac.digest(b"\0" * 32, SECRET.encode(), "sha256")
    info = b"NextAuth.js Generated Encryption Key"
    assert sessions.key_of(SECRET) == hmac.digest(extracted, info + b"\x01", "sha256")


@pytest.mark.parametrize(("name", "shown"), [
    ("Ann", "Ann"), (" Ann  B. ", "Ann B."), ("a/b", "a b"), ("a\0b\n\u200bc", "abc"), ("\uff21nn", "Ann"),
    ("n" * 300, "n" * 150), ("", "u-1"), (None, "u-1"), (7, "u-1"), ("..", "u-1"), ("\ud800", "u-1"), ("\u202e", "u-1"),
])  # fmt: skip
def test_a_name_is_made_one_that_can_be_seen(name: Any, shown: str) -> None:
    assert displayed(name, "u-1") == shown


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_name_is_one_that_a_user_may_have(name: str, subject: str) -> None:
    its = Identity(ISSUER, subject, displayed(name, subject), datetime.now(UTC))
    for one in outsiders.names(its):
        users.check_name(one)


def test_an_audience_that_is_empty_is_none() -> None:
    issuers = trusting(auth_jwt_secret=SECRET, auth_audience=f"{AUDIENCE},,")
    assert refusal(issuers, by_secret(claims(aud=["", "else"]))) == NOT_FOR_US.format("aud")


def test_keys_are_fetched_once_and_again_for_one_that_is_new() -> None:
    host = Host(rsa())
    issuers = trusting(host, auth_jwks_url="https://a.b/keys", auth_jwks_seconds=1e-9)
    assert [issuers.identity(signed()).subject for _ in range(3)] == ["u-1"] * 3
    assert host.asked == 1
    host.known = (rsa(), elliptic())
    assert issuers.identity(signed(key=elliptic(), alg="ES256")).subject == "u-1"
    assert host.asked == 2


def test_ids_that_are_unknown_do_not_wear_out_the_host() -> None:
    host = Host(rsa())
    issuers = trusting(host, auth_jwks_url="https://a.b/keys", auth_jwks_seconds=3_600)
    assert {refusal(issuers, signed(kid=f"no-{n}")) for n in range(20)} == {NOT_TRUSTED}
    assert host.asked == 1


def test_keys_that_are_known_outlive_their_host() -> None:
    host = Host(rsa())
    issuers = trusting(host, auth_jwks_url="https://a.b/keys", auth_jwks_seconds=1e-9)
    issuers.identity(signed())
    host.known = ()
    with pytest.raises(Unavailable, match=AWAY):
        issuers.identity(signed(kid="perhaps new"))
    assert issuers.identity(signed()).subject == "u-1"


def test_while_no_key_is_known_a_token_is_neither_good_nor_bad() -> None:
    host = Host()
    issuers = trusting(host, auth_jwks_url="https://a.b/keys")
    for token in (signed(), signed(key=STRANGERS)):
        with pytest.raises(Unavailable, match=AWAY):
            issuers.identity(token)
    assert host.asked == 1  # the second is told at once
