"""HTTP that lies, breaks off, nests or never ends is answered with 4xx and a sentence, and no process dies of it."""

import gzip
import json
from typing import Any

import pytest

from services.platform import Platform
from tests.attacks.raw import CLOSE, JOB, ask, post, request
from tests.jobs import body

CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def with_(text: str) -> bytes:
    """A job with one more field."""
    return JOB[:-1] + b"," + text.encode() + b"}"


BODIES: dict[str, bytes] = {
    "NaN": with_('"hyperparameters": {"learning_rate": NaN}'),
    "infinity": with_('"hyperparameters": {"learning_rate": -Infinity}'),
    "a number beyond floats": with_('"hyperparameters": {"learning_rate": 1e400}'),
    "a number of 5000 digits": with_(f'"seed": {"9" * 5_000}'),
    "5000 digits in what is free": with_(f'"hyperparameters": {{"learning_rate": {"9" * 5_000}}}'),
    "objects 5000 deep": with_('"hyperparameters": ' + '{"a":' * 5_000 + "1" + "}" * 5_000),
    "lists 30000 deep": with_('"more": ' + "[" * 30_000),
    "a key twice, the second bad": with_('"seed": 1, "seed": -1'),
    "5000 options": with_('"hyperparameters": {' + ",".join(f'"o{n}": 1' for n in range(5_000)) + "}"),
    "half a character": with_('"hyperparameters": {"a": "\\ud800"}'),
    "half a character as a name": with_('"hyperparameters": {"\\udc00": 1}'),
    "a NUL as a name": with_('"hyperparameters": {"a\\u0000": 1}'),
    "a tag of YAML": with_('"hyperparameters": {"!!python/object/apply:os.system": "touch evil"}'),
    "a prototype": with_('"hyperparameters": {"__proto__": {"learning_rate": 1}}'),
    "no UTF-8": JOB.replace(b"agent_config", b"\xff\xfe", 1),
    "UTF-16": JOB.decode().encode("utf-16"),
    "gzip": gzip.compress(JOB),
    "a form": b"--x\r\nContent-Disposition: form-data\r\n\r\n" * 500,
    "XML": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused_with_a_sentence(platform: Platform, what: str) -> None:
    assert_refused(ask(platform, post(platform, CLOSE, "Content-Encoding: gzip", content=BODIES[what])), 422)


def lying(platform: Platform) -> dict[str, tuple[bytes, int]]:
    """Raw requests, with the status that each is answered with."""
    many = [f"X-{n}: a" for n in range(500)]
    return {
        "chunks of no size": (post(platform, CHUNKED, CLOSE, content=b"zz\r\nabc\r\n0\r\n\r\n", length=False), 422),
        "chunks below none": (post(platform, CHUNKED, CLOSE, content=b"-5\r\nabc\r\n0\r\n\r\n", length=False), 422),
        "an endless chunk size": (post(platform, CHUNKED, CLOSE, content=b"5;a=" + b"x" * 9_000, length=False), 422),
        "an endless chunk": (post(platform, CHUNKED, CLOSE, content=b"fffffff\r\n" + b"x" * 70_000, length=False), 413),
        "10**30 bytes": (post(platform, CLOSE, length=10**30), 413),
        "fewer than no bytes": (post(platform, length=-5), 400),
        "a length with a sign": (post(platform, length="+5"), 400),
        "two lengths": (post(platform, "Content-Length: 3"), 400),
        "both length and chunks": (post(platform, CHUNKED, content=SMUGGLED), 400),
        "chunks twice": (post(platform, CHUNKED, CHUNKED, content=SMUGGLED, length=False), 400),
        "chunks that are none": (post(platform, "Transfer-Encoding: xchunked", content=SMUGGLED, length=False), 400),
        "chunks with a space": (post(platform, "Transfer-Encoding : chunked", content=SMUGGLED, length=False), 400),
        "500 headers": (post(platform, *many), 431),
        "a header of 100 kB": (post(platform, "X: " + "a" * 100_000), 431),
        "an address of 100 kB": (request("GET /" + "a" * 100_000 + " HTTP/1.1"), 414),
        "1000 parameters": (request("GET /livez?" + "&".join(["a=1"] * 1_000 + ["b"] * 1_000) + " HTTP/1.1"), 414),
        "a folded header": (post(platform, "X: a\r\n b"), 400),
        "half an end of line": (post(platform, "X: a\nY: b"), 400),
        "a NUL in a header": (post(platform, "X: a\0b"), 400),
        "an escape in the address": (request("GET /\x1b[31m HTTP/1.1"), 400),
        "two hosts": (request("GET /livez HTTP/1.1", "Host: evil.example"), 400),
        "another site's address": (request("GET http://169.254.169.254/ HTTP/1.1", CLOSE), 404),
        "a tunnel": (request("CONNECT 127.0.0.1:22 HTTP/1.1", CLOSE), 404),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        "HTTP/0.9": (b"GET /livez\r\n\r\n", 400),
        "an unknown expectation": (post(platform, "Expect: miracles"), 417),
        "a method with an escape": (request("GET\x1b /livez HTTP/1.1"), 400),
        "a path in a header": (request("GET /nothing HTTP/1.1", "PATH_INFO: /livez", "SCRIPT_NAME: /x", CLOSE), 404),
        "a NUL in the path": (request("GET /livez%00 HTTP/1.1", CLOSE), 404),
        "a NUL in a parameter": (request("GET /livez?team=%00 HTTP/1.1", CLOSE), 422),
    }  # fmt: skip


def test_http_that_lies_is_refused_with_a_sentence(platform: Platform) -> None:
    for what, (raw, status) in lying(platform).items():
        answer = ask(platform, raw)
        assert (answer.status, answer.count) == (status, 1), what  # nothing that was smuggled in is answered
        assert_refused(answer, status)


def test_a_body_that_is_longer_than_it_says_is_no_second_request(platform: Platform) -> None:
    inner = request("DELETE /livez HTTP/1.1", CLOSE)
    answer = ask(platform, post(platform, content=JOB + inner, length=len(JOB) - 1))
    assert answer.count == 2  # the second one begins with the rest of the first
    assert answer.status == 422
    assert b"400 Bad Request" in answer.body


def test_what_is_merely_odd_is_served(platform: Platform) -> None:
    """The other side of the bounds."""
    for headers in (["X: " + "a" * 8_000], [f"X-{n}: a" for n in range(90)], ["Range: bytes=0-0,1-1"],
                    ["Cookie: " + "a=b;" * 1_900], ["Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]):  # fmt: skip
        assert ask(platform, request("GET /livez HTTP/1.1", *headers, CLOSE)).status == 200
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in JOB) + b"0\r\n\r\n"
    assert ask(platform, post(platform, CHUNKED, CLOSE, content=chunks, length=False)).status == 200


def test_nothing_of_all_this_was_an_error_of_ours(platform: Platform) -> None:
    """Run after the others of this file: no traceback, and the same process as at the beginning."""
    assert "Traceback" not in platform.log("web")
    assert platform.is_ready()


def assert_refused(answer: Any, status: int) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    said = answer.json
    assert set(said) == {"code", "detail"}
    assert said["detail"].endswith(".")


def test_a_deep_job_that_is_good_is_a_job(platform: Platform) -> None:
    deep = json.dumps(body(more=json.loads("[" * 100 + "]" * 100))).encode()
    assert ask(platform, post(platform, CLOSE, content=deep)).status == 200
