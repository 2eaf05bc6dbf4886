"""A game's first message: whoever says it wrongly is told so in JSON and with a close code; nobody waits for ever."""

import json
from typing import Any
from uuid import uuid4

import pytest
from websocket import ABNF

from services.platform import Platform
from tests.integration.live import connect, farewell, new_run, watch

RUN = "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a"
BAD_INPUT, TOO_BIG = 1008, 1009


@pytest.fixture(scope="module")
def waiting(platform: Platform) -> str:
    """A run that waits for a node."""
    return new_run(platform)


def refusal(platform: Platform, hello: Any, token: str | None = None) -> str:
    """The one message that comes before the server closes with 1008."""
    socket = connect(platform, platform.token if token is None else token)
    socket.send_binary(hello) if isinstance(hello, bytes) else socket.send(hello)
    (message,), code = farewell(socket)
    assert (message["msg_id"], code) == (10, BAD_INPUT)
    assert message["detail"].endswith(".")
    return str(message["detail"])


def with_(field: str) -> str:
    return f'{{"run_id":"{RUN}",{field}}}'


@pytest.mark.parametrize(("hello", "words"), [
    ("nonsense", "Invalid JSON"), ("", "Invalid JSON"), ("[]", "object"), ("3", "object"), ('"text"', "object"),
    ("null", "object"), ("{}", "run_id: Field required"), ('{"run_id":null}', "run_id"), ('{"run_id":7}', "run_id"),
    ('{"run_id":"x"}', "run_id: Input should be a valid UUID"), ('{"RUN_ID":"1"}', "run_id: Field required"),
    (with_('"after":"3"'), "after: Input should be a valid integer"),
    (with_('"after":true'), "after: Input should be a valid integer"),
    (with_('"after":1.5'), "after: Input should be a valid integer"),
    (with_('"after":-1'), "after: Input should be greater than or equal to 0"),
    (with_('"after":99999999999999999999'), "after: Input should be less than or equal to"),
    (with_('"token":7'), "token: Input should be a valid string"),
    ("[" * 10_000, "Invalid JSON"),
])  # fmt: skip
def test_a_bad_hello_is_refused_with_a_sentence(platform: Platform, hello: str, words: str) -> None:
    assert words in refusal(platform, hello)


def test_a_binary_hello_is_refused(platform: Platform, waiting: str) -> None:
    assert refusal(platform, json.dumps({"run_id": waiting}).encode()).startswith("The hello must be a text message")


def test_who_says_nothing_is_not_waited_for(platform: Platform) -> None:
    (message,), code = farewell(connect(platform, platform.token))
    assert (message["msg_id"], code) == (10, BAD_INPUT)
    assert message["detail"].startswith("No hello came within 1 s.")


def test_a_message_beyond_the_limit_is_refused(platform: Platform) -> None:
    socket = connect(platform, platform.token)
    socket.send(json.dumps({"run_id": RUN, "more": "x" * 70_000}))
    assert farewell(socket) == ([], TOO_BIG)


@pytest.mark.parametrize("hello", [{}, {"token": ""}, {"token": "wrong"}], ids=str)
def test_without_a_good_token_nothing_is_shown(platform: Platform, waiting: str, hello: dict[str, str]) -> None:
    detail = refusal(platform, json.dumps({"run_id": waiting} | hello), token="")
    assert "token" in detail


def test_a_wrong_token_in_the_header_is_refused(platform: Platform, waiting: str) -> None:
    assert "This token is not known here" in refusal(platform, json.dumps({"run_id": waiting}), token="wrong")


def test_a_nodes_token_watches_nothing(platform: Platform, waiting: str) -> None:
    detail = refusal(platform, json.dumps({"run_id": waiting}), token=platform.node_token)
    assert detail == "This is a training node's token; a user's token is needed here."


def test_a_strangers_run_is_as_unknown_as_none(platform: Platform, waiting: str) -> None:
    stranger, unknown = platform.run("flask --app wsgi tokens create stranger"), str(uuid4())
    theirs = refusal(platform, json.dumps({"run_id": waiting}), token=stranger)
    nobodys = refusal(platform, json.dumps({"run_id": unknown}), token=stranger)
    assert theirs == f"There is no run {waiting} among your jobs."
    assert nobodys == f"There is no run {unknown} among your jobs."


def test_who_has_seen_more_than_there_is_is_told_so(platform: Platform, waiting: str) -> None:
    """Otherwise it would wait for a number that comes much later, and never see the end."""
    detail = refusal(platform, json.dumps({"run_id": waiting, "after": 7}))
    assert detail == "after: The newest message of this run has the number 1, so nothing can come after 7."


@pytest.mark.parametrize("place", ["header", "hello"])
def test_a_token_may_come_with_the_header_or_the_hello(platform: Platform, waiting: str, place: str) -> None:
    socket = connect(platform, platform.token if place == "header" else None)
    socket.send(json.dumps({"run_id": waiting} | ({"token": platform.token} if place == "hello" else {})))
    first = json.loads(socket.recv())
    socket.close()
    assert (first["msg_id"], first["run_id"], first["status"], first["seq"]) == (2, waiting, "SUBMITTED", 1)


def test_fields_that_are_not_known_yet_are_ignored(platform: Platform, waiting: str) -> None:
    viewer = watch(platform, waiting, leave_after=1, binary=True, version=[7])
    viewer.finish()
    assert viewer.statuses == ["SUBMITTED"]


def test_a_hello_in_fragments_is_a_hello(platform: Platform, waiting: str) -> None:
    socket = connect(platform, platform.token)
    text = json.dumps({"run_id": waiting})
    socket.send_frame(_fragment(text[:9], first=True, last=False))
    socket.send_frame(_fragment(text[9:], first=False, last=True))
    assert json.loads(socket.recv())["status"] == "SUBMITTED"
    socket.close()


def _fragment(text: str, first: bool, last: bool) -> Any:
    return ABNF(last, 0, 0, 0, ABNF.OPCODE_TEXT if first else ABNF.OPCODE_CONT, 1, text.encode())


def test_many_who_leave_without_a_hello_leave_no_trace(platform: Platform, waiting: str) -> None:
    for _ in range(20):
        connect(platform, platform.token).sock.close()
    assert watch(platform, waiting, leave_after=1).finish().statuses == ["SUBMITTED"]
