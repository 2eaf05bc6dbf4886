"""Recordings as a node's bridge leaves them: a piece with the messages of some episodes, and its manifest."""

from typing import Any

ODD = [
    b'{"msg_id":4}',
    b'{"msg_id":1,"stepCount":1,"stepCount":2}',
    b' \t{ "msg_id" : 1 ,\n "x" : 1.50000000000000000000001 }\r\n\n',
    b'{"msg_id":1,"text":"\\u00e9\\ud83d\\u001e\\ude00 \xc3\xa9\xf0\x9f\x98\x80\\/"}',
]
"""What a build may say: each byte of it is kept."""


def piece(*episodes: list[bytes], first: int = 1, interval_ms: int = 20) -> tuple[bytes, dict[str, Any]]:
    """A piece's content and its manifest."""
    content, listed = b"", list[dict[str, Any]]()
    for number, messages in enumerate(episodes, first):
        sequence = sequence_of(messages)
        listed.append({
            "number": number, "instance": 0, "start": len(content), "size": len(sequence),
            "times_ms": [n * interval_ms for n in range(len(messages))], "began_at": "2026-01-02T03:04:05+00:00",
            "is_complete": True,
        })  # fmt: skip
        content += sequence
    return content, {"episodes": listed}


def sequence_of(messages: list[bytes]) -> bytes:
    """A JSON text sequence (RFC 7464)."""
    return b"".join(b"\x1e" + message + b"\n" for message in messages)
