"""Logs from the node to whoever asks: stored once, live to the sockets that want them, as text over REST."""

from typing import Any

import requests
from flask import Flask

from coordinator.ledger import Logged
from coordinator.parts import parts
from services.platform import Platform, wait_until
from tests.conftest import Overheard
from tests.integration.database import rows
from tests.integration.live import new_run, watch
from tests.jobs import URL, Client, bearer, metric, phase
from tests.played_node import PlayedNode
from tests.stub_node import StubNode

PIECES = "SELECT attempt, n, source, text FROM log_pieces ORDER BY attempt, n"
Headers = dict[str, str]


def line(text: str, source: str = "trainer") -> dict[str, Any]:
    return {"kind": "log", "source": source, "text": f"{text}\n"}


def logged(app: Flask) -> list[Logged]:
    publisher = parts(app).publisher
    assert isinstance(publisher, Overheard)
    return publisher.logged


def test_pieces_are_stored_once_and_told_with_what_came_before(app: Flask, run_id: str, played: PlayedNode) -> None:
    played.claim(run_id)
    facts = [line("one"), metric(1_000), line("two", "environment")]
    played.say(run_id, *facts)
    played.say(run_id, *facts, line("three"))
    assert rows(app, PIECES) == [
        (1, 1, "trainer", "one\n"),
        (1, 3, "environment", "two\n"),
        (1, 4, "trainer", "three\n"),
    ]
    assert [(one.attempt, one.before, one.n) for one in logged(app)] == [(1, 0, 1), (1, 1, 3), (1, 3, 4)]


def test_what_an_old_attempt_says_is_kept_but_not_told(app: Flask, run_id: str, played: PlayedNode) -> None:
    played.claim(run_id)
    played.lose(run_id)
    played.claim(run_id, 2)
    played.say(run_id, line("late"))
    assert rows(app, PIECES) == [(1, 1, "trainer", "late\n")]
    assert logged(app) == []


def test_a_log_is_text_over_rest(
    app: Flask, client: Client, run_id: str, played: PlayedNode, owner: Headers, stranger: Headers
) -> None:
    address = f"{URL}/{run_id}/logs"
    assert client.get(address, headers=owner).data == b""
    played.claim(run_id)
    played.say(run_id, line("one"), line("caf\u00e9", "environment"), line("three"))
    played.lose(run_id)
    played.claim(run_id, 2)
    played.say(run_id, line("again"), attempt=2)
    assert client.get(address, headers=owner).data == b"again\n"
    assert client.get(f"{address}?attempt=1", headers=owner).text == "one\ncaf\u00e9\nthree\n"
    answer = client.get(f"{address}?attempt=1&source=trainer", headers=owner)
    assert (answer.text, answer.mimetype) == ("one\nthree\n", "text/plain")
    assert client.get(f"{address}?source=weather", headers=owner).status_code == 422
    assert client.get(address, headers=stranger).status_code == 404


def test_who_asks_gets_the_log_and_who_does_not_gets_none(platform: Platform, stub_node: StubNode) -> None:
    run_id = new_run(platform)
    plain = watch(platform, run_id)
    stub_node.claim(run_id)
    stub_node.say(run_id, phase("RUNNING"), *(line(f"early {n}") for n in range(60)))
    address = f"{platform.url}{URL}/{run_id}/logs"
    wait_until(lambda: "early 59" in requests.get(address, headers=bearer(platform.token), timeout=10).text, 30, "logs")
    asked = watch(platform, run_id, logs=True)
    wait_until(lambda: 11 in {message["msg_id"] for message in asked.messages}, 30, "the stored log")
    for n in range(40):
        stub_node.say(run_id, line(f"live {n}", "environment"), metric(n))
    stub_node.hand_in(run_id, status="failed", error="It broke.")
    log = [message for message in asked.finish().messages if message["msg_id"] == 11]
    texts = [message["text"] for message in log]
    assert texts == [f"early {n}\n" for n in range(60)] + [f"live {n}\n" for n in range(40)]
    assert [(message["source"], message["attempt"]) for message in log[59:61]] == [("trainer", 1), ("environment", 1)]
    assert asked.messages[-1]["status"] == "FAILED"
    rest = [message for message in asked.messages if message["msg_id"] != 11]
    assert plain.finish().messages == rest
