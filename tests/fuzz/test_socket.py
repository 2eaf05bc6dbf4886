"""Random and mutated bytes at the games' WebSocket: the web says no in words of the protocol, and goes on as before."""

import os
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from random import Random

import requests

from tests import traffic
from tests.attacks.raw import address_of
from tests.fuzz import frames
from tests.fuzz.conftest import IS_DEEP, Target, memory, processes
from tests.integration.live import new_run, watch
from tests.jobs import URL, bearer

CASES = int(os.environ.get("FUZZ_CASES", 10_000 if IS_DEEP else 1_500))
WARM, AT_A_TIME, AT_ONCE = 200, 1_000, 24
MOST_GROWTH_KB = 40_000
PATH = "/ws/v1/client-stream"
LINGER = struct.pack("ii", 1, 0)


def test_random_and_mutated_frames_harm_nobody(untroubled: Target) -> None:
    platform = untroubled.platform
    seed = int(os.environ.get("FUZZ_SEED", secrets.randbits(32)))
    run_id = new_run(platform)
    traffic.messages()  # made here, not by many threads at once
    healthy = watch(platform, run_id)
    healthy.wait_for(1)
    workers = processes(platform, "web")
    ends = throw(untroubled, run_id, seed, range(WARM))
    before = memory(workers)
    for first in range(WARM, CASES, AT_A_TIME):
        ends += throw(untroubled, run_id, seed, range(first, min(first + AT_A_TIME, CASES)))
    grown = memory(workers) - before
    assert processes(platform, "web") == workers
    assert grown < MOST_GROWTH_KB, f"Seed {seed}: the web has grown by {grown} kB."
    assert {end for end in ends if end.startswith("not")} == set(), f"Seed {seed}: {ends}"
    requests.post(f"{platform.url}{URL}/{run_id}/cancel", headers=bearer(platform.token), timeout=30).raise_for_status()
    healthy.finish()
    assert (healthy.statuses[-1], healthy.close_code) == ("FAILED", 1000)


def throw(target: Target, run_id: str, seed: int, cases: range) -> Counter[str]:
    """Many cases at the same time; how often each kind of end came."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        chances = [Random(f"{seed}.{case}") for case in cases]  # noqa: S311
        ends = Counter(pool.map(lambda chance: _end_of(target, run_id, chance), chances))
    target.tally.threw(ends, CASES, seed)
    return ends


def _end_of(target: Target, run_id: str, chance: Random) -> str:
    """What became of one connection."""
    platform = target.platform
    with closing(socket.create_connection(address_of(platform), timeout=20)) as line, suppress(OSError):
        if chance.random() < 0.15:
            line.sendall(frames.odd_handshake(chance, PATH, platform.token))
        else:
            line.sendall(frames.handshake(PATH, platform.token))
            if not _is_let_in(line):
                return "not let in"
            recipe = chance.choice(frames.RECIPES)
            line.sendall(recipe(chance, {"run_id": run_id, "logs": chance.random() < 0.3}))
        if chance.random() < 0.3:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            return "left without a word"
        line.shutdown(socket.SHUT_WR)
        return _said(_all(line))
    return "reset"


def _is_let_in(line: socket.socket) -> bool:
    came = b""
    while b"\r\n\r\n" not in came:
        if not (chunk := line.recv(1)):
            return False
        came += chunk
    return came.startswith(b"HTTP/1.1 101")


def _all(line: socket.socket) -> bytes:
    came = bytearray()
    with suppress(ConnectionResetError):
        while chunk := line.recv(65_536):
            came += chunk
    return bytes(came)


def _said(came: bytes) -> str:
    """How the server ended it; "not ..." where that is not as the documents say."""
    if came.startswith(b"HTTP/1.1 "):
        status = int(came[9:12])
        return f"HTTP {status}" if status < 500 else f"not HTTP {status}"
    for opcode, content in _frames(came):
        if opcode == frames.TEXT and (wrong := traffic.errors_in_stream(content)):
            return f"not a message: {wrong}"
        if opcode == frames.CLOSE:
            return f"closed with {struct.unpack('!H', content[:2])[0] if len(content) > 1 else 1005}"
    return "closed"


def _frames(came: bytes) -> Iterator[tuple[int, bytes]]:
    """Those of a server: unmasked."""
    while len(came) > 1:
        length, at = came[1] & 127, 2
        if length > 125:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(came[2 : 2 + size]), 2 + size
        yield came[0] & 15, came[at : at + length]
        came = came[at + length :]
