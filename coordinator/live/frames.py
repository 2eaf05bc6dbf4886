"""Frames of WebSockets, made once for all sockets of a process: what a server sends is the same for each."""

import struct

TEXT = 0x81  # a whole text message
CLOSE = 0x88
WHITESPACE = b" \t\r\n"


def text_frame(payload: bytes) -> bytes:
    """A text message of this UTF-8 content as it goes over the wire, from a server to any client."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", TEXT, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", TEXT, 126, size) + payload
    return struct.pack("!BBQ", TEXT, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A good-bye; the reason has 123 bytes at most."""
    payload = struct.pack("!H", code) + reason.encode()
    return struct.pack("!BB", CLOSE, len(payload)) + payload


def looks_like_an_object(payload: bytes, most: int) -> bool:
    """A cheap look at what a bridge has checked already: text in braces, of bounded size.

    Games parse every text as a JSON object and stop at anything else, and a WebSocket ends at what is no UTF-8.
    """
    if len(payload) > most or payload.lstrip(WHITESPACE)[:1] != b"{" or payload.rstrip(WHITESPACE)[-1:] != b"}":
        return False
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
