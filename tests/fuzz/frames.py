"""Random and mutated bytes for a WebSocket: what a broken or hostile client may send, made again from the same seed."""

import json
import os
import struct
from collections.abc import Callable
from random import Random
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG, CONTINUED = 1, 2, 8, 9, 10, 0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
NO_UTF8 = [b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b'{"run_id": "\xf0\x9f"}']
Recipe = Callable[[Random, dict[str, Any]], bytes]
"""Makes bytes of chance and of a good hello."""


def handshake(path: str, token: str | None, **changes: str | None) -> bytes:
    """A request to become a WebSocket; a header that is changed to None is left out."""
    headers: dict[str, str | None] = {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13", "Authorization": f"Bearer {token}" if token else None,
    }  # fmt: skip
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (headers | changes).items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def frame(
    opcode: int,
    content: bytes,
    *,
    is_last: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """One frame. `length` is a lie about the content's."""
    said = len(content) if length is None else length
    head = bytes([(is_last << 7) | (reserved << 4) | opcode])
    bit = masked << 7
    if said < 126:
        head += bytes([bit | said])
    elif said < 65_536:
        head += bytes([bit | 126]) + struct.pack("!H", said)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", said)
    if not masked:
        return head + content
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))


def good(hello: dict[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(hello).encode())


def _noise(chance: Random, most: int = 300) -> bytes:
    return chance.randbytes(chance.randint(0, most))


def noise(chance: Random, hello: dict[str, Any]) -> bytes:
    return _noise(chance, 2_000)


def bad_opcode(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(chance.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), _noise(chance))


def reserved_bits(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(chance.choice([TEXT, BINARY, PING]), _noise(chance, 100), reserved=chance.randint(1, 7))


def a_lie_about_length(chance: Random, hello: dict[str, Any]) -> bytes:
    said = chance.choice([126, 65_536, 70_000, 2**20, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1])
    return frame(chance.choice([TEXT, BINARY, PING, CLOSE]), _noise(chance), length=said)


def unmasked(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(TEXT, json.dumps(hello).encode(), masked=False)


def odd_fragments(chance: Random, hello: dict[str, Any]) -> bytes:
    opcodes = [chance.choice([CONTINUED, TEXT, BINARY, PING, CLOSE]) for _ in range(chance.randint(1, 12))]
    return b"".join(frame(opcode, _noise(chance, 40), is_last=chance.random() < 0.4) for opcode in opcodes)


def many_fragments(chance: Random, hello: dict[str, Any]) -> bytes:
    text = json.dumps(hello).encode()
    parts = [frame(TEXT, text[:1], is_last=False)]
    for byte in text[1:]:
        parts.append(frame(CONTINUED, bytes([byte]), is_last=False))
        if chance.random() < 0.2:
            parts.append(frame(PING, b"?"))
    return b"".join([*parts, frame(CONTINUED, b"")])


def no_utf8(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(TEXT, chance.choice(NO_UTF8) + _noise(chance))


def truncated(chance: Random, hello: dict[str, Any]) -> bytes:
    whole = good(hello)
    return whole[: chance.randrange(len(whole))]


def mutated(chance: Random, hello: dict[str, Any]) -> bytes:
    whole = bytearray(good(hello) + frame(PING, b"x") + frame(TEXT, b"{}"))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(whole))
        match chance.randrange(3):
            case 0:
                whole[at] ^= 1 << chance.randrange(8)
            case 1:
                del whole[at]
            case _:
                whole[at:at] = whole[at : at + chance.randint(1, 20)]
    return bytes(whole)


def control_frames(chance: Random, hello: dict[str, Any]) -> bytes:
    kinds = [frame(chance.choice([PING, PONG]), _noise(chance, 125)) for _ in range(chance.randint(1, 400))]
    return b"".join(kinds) + chance.choice([b"", good(hello)])


def large_control(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(chance.choice([PING, PONG, CLOSE]), chance.randbytes(chance.randint(126, 1_000)))


def odd_farewell(chance: Random, hello: dict[str, Any]) -> bytes:
    code = chance.choice([0, 999, 1000, 1004, 1005, 1006, 1015, 1016, 2999, 3000, 4999, 5000, 65_535])
    reason = chance.choice([b"", b"bye", b"\xff", b"x" * 123])
    farewell = frame(CLOSE, chance.choice([b"", b"\x03", struct.pack("!H", code) + reason]))
    return chance.choice([b"", good(hello)]) + farewell + chance.choice([b"", farewell, good(hello), _noise(chance)])


def too_large(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(chance.choice([TEXT, BINARY]), b"x" * chance.choice([65_530, 65_600, 200_000]))


def odd_hello(chance: Random, hello: dict[str, Any]) -> bytes:
    said: Any = {name: value for name, value in hello.items() if chance.random() < 0.9}
    for name in chance.sample(["run_id", "after", "token", "ticket", "logs", "episode", "attempt", "speed", "x"], 2):
        said[name] = odd_value(chance, 0)
    text = json.dumps(chance.choice([said, said, said, odd_value(chance, 0)]))
    return frame(TEXT, text.encode("utf-8", "surrogatepass"))


def deep_hello(chance: Random, hello: dict[str, Any]) -> bytes:
    return frame(TEXT, chance.choice([b"[", b'{"run_id":', b'{"a":[']) * chance.randint(100, 8_000))


def odd_value(chance: Random, depth: int) -> Any:
    """Of any type, of any size."""
    plain: list[Any] = [
        None, True, False, 0, -1, 1, 2**31, 2**53, 2**64, 10**300, 1.5, 1e308, float("nan"), float("inf"), "", "\0",
        "\ud800", "x" * chance.randint(0, 5_000), "’" * 50, "tj_" + "a" * 43, "6f1f3d2e-6f0b-4a5b-9a3e-0c8f3f1d2b4a",
        "' OR 1=1 --", "../../etc/passwd", os.linesep, "\u202e",
    ]  # fmt: skip
    if depth > 3 or chance.random() < 0.7:
        return chance.choice(plain)
    some = [odd_value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return some if chance.random() < 0.5 else {str(number): it for number, it in enumerate(some)}


def garbage_after_hello(chance: Random, hello: dict[str, Any]) -> bytes:
    others = [noise, bad_opcode, reserved_bits, a_lie_about_length, unmasked, odd_fragments, no_utf8, mutated,
              control_frames, large_control, odd_farewell, too_large, odd_hello]  # fmt: skip
    return good(hello) + b"".join(chance.choice(others)(chance, hello) for _ in range(chance.randint(1, 4)))


RECIPES: list[Recipe] = [
    noise, bad_opcode, reserved_bits, a_lie_about_length, unmasked, odd_fragments, many_fragments, no_utf8, truncated,
    mutated, control_frames, large_control, odd_farewell, too_large, odd_hello, odd_hello, odd_hello, deep_hello,
    garbage_after_hello, garbage_after_hello, garbage_after_hello,
]  # fmt: skip


def odd_handshake(chance: Random, path: str, token: str) -> bytes:
    """A request that is, at times, none to become a WebSocket."""
    changes: list[dict[str, str | None]] = [
        {"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Key": "x"}, {"Sec-WebSocket-Key": "x" * 5_000},
        {"Sec-WebSocket-Version": None}, {"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Version": "thirteen"},
        {"Upgrade": None}, {"Upgrade": "h2c"}, {"Connection": None}, {"Connection": "close"},
        {"Sec-WebSocket-Protocol": "bearer"}, {"Sec-WebSocket-Protocol": ",,bearer, , x"},
        {"Sec-WebSocket-Protocol": "bearer, \xff\xfe"}, {"Sec-WebSocket-Extensions": "permessage-deflate"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=99"}, {"Origin": "null"},
        {"Origin": "http://[::1"}, {"Origin": "x" * 3_000}, {"Authorization": "Bearer"},
        {"Authorization": "Basic \xff"}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"},
    ]  # fmt: skip
    whole = handshake(path, token, **chance.choice(changes))
    return whole if chance.random() < 0.8 else whole[: chance.randrange(1, len(whole))]
