"""How long a wrong token's refusal takes, measured: whoever has a part of a good one right is not told so by the time.

The guesses take turns in an order by lot, so that what else the machine does falls upon all alike. Refused by the same
steps, each is the slower one of two in half of the rounds, whatever the load; how far from the half chance leads is
known. So a test fails by chance once in a million times, and the number of rounds decides how small a leak is found.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest
from flask import Flask
from sqlalchemy import select

from coordinator.accounts import tokens
from coordinator.api import auth
from coordinator.errors import NotAuthenticated
from coordinator.extensions import db
from coordinator.models import Token
from services.stack import Stack
from tests.conftest import Template, config_of, running
from tests.databases import Databases
from tests.jobs import bearer

BY_CHANCE = 5.0
"""Standard deviations that chance keeps to, but for once in 1.7 million times."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOTHING, HALF, NEARLY = "nothing of it", "half of it", "all but the last character"
Taking = Callable[[str], float]
"""Seconds that something takes with a guess."""


@pytest.fixture(scope="module")
def app(stack: Stack, databases: Databases) -> Iterator[Flask]:
    """One that counts no wrong tokens."""
    with (
        databases.lent() as name,
        running(config_of(stack, name, wrong_tokens_per_minute=0)) as made,
        made.test_request_context(),
    ):
        yield made


def refusal(token: str) -> float:
    """All of it, as whoever asks sees it: with the look into the database."""
    began = time.perf_counter()
    try:
        auth.bearer(auth.shown(token))
    except NotAuthenticated:
        return time.perf_counter() - began
    raise AssertionError("It is a good one.")


def reading(token: str) -> float:
    """What sees the token itself, alone: whatever comes after it has a digest, of which nobody chooses a byte."""
    header = bearer(token)["Authorization"]
    began = time.perf_counter()
    auth.shown(tokens.of_header(header))
    return time.perf_counter() - began


def deviations(taking: Taking, good: str, rounds: int) -> dict[str, float]:
    """How far from half of all rounds those are in which a guess took longer than one of which nothing is right; in
    standard deviations of what chance does. Where both took equally long, that says nothing."""
    chance = Random(good)  # noqa: S311
    other = good[:3] + "".join(chance.choices(ALPHABET, k=len(good) - 3))
    begin = {NOTHING: other[:-1], HALF: good[:23] + other[23:-1], NEARLY: good[:-1]}
    longer, differ = Counter[str](), Counter[str]()
    for _ in range(rounds):
        last = chance.choice(ALPHABET.replace(good[-1], ""))
        took = {what: taking(begin[what] + last) for what in chance.sample([*begin], len(begin))}
        for what in (HALF, NEARLY):
            longer[what] += took[what] > took[NOTHING]
            differ[what] += took[what] != took[NOTHING]
    return {what: (longer[what] - count / 2) / (math.sqrt(count) / 2) for what, count in differ.items()}


MEASURES = pytest.mark.parametrize(("taking", "rounds"), [(refusal, 1_500), (reading, 3_000)], ids=["all", "reading"])


@MEASURES
def test_a_token_that_is_partly_right_is_refused_no_later(
    app: Flask, template: Template, taking: Taking, rounds: int
) -> None:
    found = deviations(taking, template.owner, rounds)
    assert max(map(abs, found.values())) < BY_CHANCE, found


def by_its_beginning(good: str, token: str) -> None:
    """Looks further into what begins like the token."""
    if token.startswith(good[:12]):
        db.session.scalars(select(Token.id).where(Token.digest == b"")).all()
        db.session.rollback()


def by_character(good: str, token: str) -> None:
    """Ends at the first one that differs."""
    for mine, its in zip(good, token, strict=True):
        if mine != its:
            return


LEAKS = pytest.mark.parametrize(
    ("taking", "rounds", "leak"), [(refusal, 1_500, by_its_beginning), (reading, 3_000, by_character)],
    ids=["by its beginning", "by character"],
)  # fmt: skip


@LEAKS
def test_a_comparison_that_takes_longer_the_more_is_right_would_be_found(
    app: Flask, template: Template, monkeypatch: pytest.MonkeyPatch, taking: Taking, rounds: int,
    leak: Callable[[str, str], None],
) -> None:  # fmt: skip
    digest_of = tokens.digest_of

    def leaking(token: str) -> bytes:
        leak(template.owner, token)
        return digest_of(token)

    monkeypatch.setattr(tokens, "digest_of", leaking)
    found = deviations(taking, template.owner, rounds)
    assert min(found.values()) > 3 * BY_CHANCE, found
